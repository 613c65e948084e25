"""The jobs of a pipeline, with what they extend, refer to and inherit in place."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from convert.items import Item, as_list
from convert.pipeline.includes import Files, merge
from convert.pipeline.job import JobImage, PipelineJob, combinations, expand, script_of
from convert.pipeline.source import REFERENCE
from convert.pipeline.tools import compose_files

_KEYWORDS = frozenset(
    {"default", "include", "spec", "stages", "types", "variables", "workflow"}
    | {"image", "services", "before_script", "after_script", "cache"}
)
"""What stands beside the jobs (gitlab:doc/ci/yaml/_index.md)."""
_INHERITED = ("image", "services", "before_script", "after_script", "tags", "id_tokens")
_IDENTITIES = frozenset({"id_tokens", "identity", "secrets"})
_LARGE = 200_000
"""How many values references may lead to."""
_LEVELS = 11
"""How many levels of ``extends`` and of references GitLab follows."""
_FORMS = {
    "image": "a name, or a mapping with 'name: …'",
    "services": "a list; write each on its line after '- '",
    "variables": "a mapping; write it as 'NAME: value' lines",
    "tags": "a list; write each on its line after '- '",
    "script": "a text or a list of texts; put each in quotes",
}


class Jobs:
    """Resolves the jobs of a pipeline whose files are read."""

    def __init__(self, files: Files, content: Item) -> None:
        """Take the pipeline ``content`` of ``files``, with includes in place."""
        self._files = files
        self._content = content
        self._extended: dict[str, Item] = {}
        self._count = 0
        beside = {key: item for key in _INHERITED if (item := content.get(key))}
        self._default = {**beside, **content.under("default")}

    def __iter__(self) -> Iterator[PipelineJob]:
        """Yield each job that has a script, once for each runner that a matrix sends it to."""
        for name, item in self._content.entries.items():
            if name in _KEYWORDS or name.startswith("."):
                continue
            if not item.entries:
                self._files.problem(item, f"{name}: must be a mapping of a job; write 'script:'")
                continue
            yield from self._job(name, self._extend(name, ()))

    def children(self) -> Iterator[Path]:
        """Yield the local files that jobs trigger as child pipelines."""
        for name, item in self._content.entries.items():
            include = self._extend(name, ()).get("trigger", "include") if item.entries else None
            for entry in as_list(include):
                local = entry.get("local") or entry
                path = self._files.path(local.text)
                if local.text and path.is_relative_to(self._files.root):
                    yield path
                else:
                    text = f"{name}: the child pipeline is not read; check its own file too"
                    self._files.problem(entry, text)

    def _extend(self, name: str, below: tuple[str, ...]) -> Item:
        """Return a job over the jobs that it extends, with references in place."""
        if name in self._extended:
            return self._extended[name]
        own = self._dereference(self._content.entries[name], 0)
        found = Item({}, own.file, own.line)
        for parent in as_list(own.get("extends")):
            if parent.text not in self._content.entries:
                text = (
                    f"{name}: extends {parent.text}, which no file has that was read; try --project"
                )
                self._files.problem(parent, text)
            elif parent.text in (*below, name) or len(below) >= _LEVELS:
                text = f"{name}: extends {parent.text} in a circle or too deep; remove it"
                self._files.problem(parent, text)
            else:
                found = merge(found, self._extend(parent.text, (*below, name)))
        self._extended[name] = merge(found, own)
        return self._extended[name]

    def _dereference(self, item: Item, deep: int) -> Item:
        """Return an item with what ``!reference`` names in place."""
        self._count += 1
        if self._count > _LARGE:
            if self._count == _LARGE + 1:
                text = "references make it too large for GitLab; remove some"
                self._files.problem(item, text)
            return dataclasses.replace(item, value=None)
        if item.tag == REFERENCE:
            path = [part.text for part in item.items]
            found = self._content.get(*path)
            if found is None or found is self._content or deep >= _LEVELS:
                why = "in a circle" if found else "which no file that was read has"
                text = f"!reference [{', '.join(path)}], {why}; correct it"
                self._files.problem(item, text)
                return dataclasses.replace(item, value=None)
            return self._dereference(found, deep + 1)
        if item.entries:
            entries = {key: self._dereference(child, deep) for key, child in item.entries.items()}
            return dataclasses.replace(item, value=entries)
        if item.items:
            children = tuple(self._dereference(child, deep) for child in item.items)
            return dataclasses.replace(item, value=children)
        return item

    def _job(self, name: str, item: Item) -> Iterator[PipelineJob]:
        keys = {**self._inherited(item), **item.entries}
        run = [step.entries["script"] for step in as_list(keys.get("run")) if step.get("script")]
        script = tuple(
            line
            for part in (*map(keys.get, ("before_script", "script", "after_script")), *run)
            for line in self._texts(name, part, 0)
        )
        if not script:
            return
        fixed = {**self._of_rules(name, keys), **self._variables(name, item)}
        made: dict[object, PipelineJob] = {}
        for combination in combinations(item):
            variables = {**fixed, **combination}
            known = {key: value.text for key, value in variables.items()}
            job = PipelineJob(
                name=name,
                place=item,
                image=self._image(name, keys.get("image"), known),
                services=tuple(self._services(name, keys.get("services"), known)),
                variables=variables,
                tags=tuple(self._tags(name, keys.get("tags"), known)),
                script=script,
                has_identity=bool(_IDENTITIES & keys.keys()),
            )
            called = {script_of(line.command) for line in job.lines}
            read = self._files.scripts(called | compose_files(job))
            job = dataclasses.replace(job, files=read)
            alike = (
                job.image and job.image.name,
                tuple(service.name for service in job.services),
                tuple(tag.text for tag in job.tags),
            )
            made.setdefault(alike, job)
        chosen = dict.fromkeys(key for each in combinations(item) for key in each)
        for job in made.values():
            values = (job.variables[key].text for key in chosen if key in job.variables)
            parts = ", ".join(values)
            yield dataclasses.replace(job, name=f"{name}: [{parts}]") if len(made) > 1 else job

    def _inherited(self, item: Item) -> Mapping[str, Item]:
        inherit = item.get("inherit", "default")
        if inherit is None or inherit.text == "true":
            return self._default
        wanted = {entry.text for entry in inherit.items}
        return {key: value for key, value in self._default.items() if key in wanted}

    def _variables(self, name: str, item: Item) -> dict[str, Item]:
        inherit = item.get("inherit", "variables")
        wanted = {entry.text for entry in inherit.items} if inherit else set[str]()
        everywhere = {
            key: value
            for key, value in self._values(name, self._content.get("variables")).items()
            if inherit is None or inherit.text == "true" or key in wanted
        }
        return {**everywhere, **self._values(name, item.get("variables"))}

    def _of_rules(self, name: str, keys: Mapping[str, Item]) -> dict[str, Item]:
        """Return variables that only rules set, as the first of these does."""
        workflow = self._content.get("workflow", "rules")
        rules = (*as_list(keys.get("rules")), *as_list(workflow))
        found: dict[str, Item] = {}
        for rule in reversed(rules):
            found |= self._values(name, rule.get("variables"))
        return found

    def _values(self, name: str, item: Item | None) -> dict[str, Item]:
        """Return variables with their values as texts, at the place of the whole entry."""
        if item and not item.entries and item.value not in (None, {}):
            self._wrong(name, "variables", item)
        if not item:
            return {}
        return {
            key: dataclasses.replace(entry, value=(entry.get("value") or entry).text)
            for key, entry in item.entries.items()
        }

    def _texts(self, name: str, item: Item | None, deep: int) -> Iterator[Item]:
        """Yield each text of a script, which may be lists in lists."""
        if item is None or item.value is None:
            return
        if item.entries or deep >= _LEVELS:
            self._wrong(name, "script", item)
        elif item.items:
            for child in item.items:
                yield from self._texts(name, child, deep + 1)
        else:
            yield item

    def _image(self, name: str, item: Item | None, known: Mapping[str, str]) -> JobImage | None:
        if item is None or item.value is None:
            return None
        named = item.get("name") or item
        if not named.text:
            self._wrong(name, "image", item)
            return None
        alias = item.get("alias")
        policies = as_list(item.get("pull_policy")) or as_list(item.get("docker", "pull_policy"))
        variables = self._values(name, item.get("variables"))
        return JobImage(
            name=expand(named.text, known),
            place=named,
            entry=item,
            aliases=tuple(alias.text.replace(",", " ").split()) if alias else (),
            arguments=tuple(
                word.text
                for key in ("entrypoint", "command")
                for word in as_list(item.get(key))
                if word.text
            ),
            variables={key: expand(value.text, known) for key, value in variables.items()},
            pull_policies=policies,
        )

    def _services(
        self, name: str, item: Item | None, known: Mapping[str, str]
    ) -> Iterator[JobImage]:
        if item and item.value is not None and not isinstance(item.value, tuple):
            self._wrong(name, "services", item)
        for entry in item.items if item else ():
            for each in entry.items or (entry,):
                if image := self._image(name, each, known):
                    yield image

    def _tags(self, name: str, item: Item | None, known: Mapping[str, str]) -> Iterator[Item]:
        if item and item.value is not None and not isinstance(item.value, tuple):
            self._wrong(name, "tags", item)
        for tag in item.items if item else ():
            for each in tag.items or (tag,):
                yield dataclasses.replace(each, value=expand(each.text, known))

    def _wrong(self, name: str, key: str, item: Item) -> None:
        self._files.problem(item, f"{name}: {key} must be {_FORMS[key]}")
