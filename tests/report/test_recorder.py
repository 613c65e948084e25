"""The recorder and its plans, on programs that use each part of the SDK that it relies on."""

from collections.abc import Callable

import pulumi
import pulumi_gitlab as gitlab
import pulumi_kubernetes as k8s
import pytest
from pulumi.runtime.proto import resource_pb2_grpc

from report.inputs.events import Step
from report.inputs.recorder import Recorder, RegisteredResource, plain
from report.inputs.registrations import plan
from report.redact import SECRET, UNKNOWN, Scrubber

UNKNOWN_ON_THE_WIRE = pulumi.runtime.rpc.UNKNOWN


class Group(pulumi.ComponentResource):
    """A component with one Secret, whose data ignores changes."""

    def __init__(self, data: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the Secret."""
        super().__init__("image-builds:index:Group", "group", None, opts)
        secret = k8s.core.v1.Secret(
            "made",
            metadata={"name": "made", "namespace": "ns"},
            data=pulumi.Output.secret({"key": data}),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        copied = pulumi.Output.secret(secret.data)
        k8s.core.v1.ConfigMap("copy", data=copied, opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({"data": copied, "count": 2})


def _record(
    program: Callable[[], object],
    *,
    preview: bool = False,
    state: list[RegisteredResource] | None = None,
) -> list[RegisteredResource]:
    recorder = Recorder("dev", preview=preview, state=state or ())
    recorder.run(program)
    return recorder.registered


def _one(registered: list[RegisteredResource], name: str) -> RegisteredResource:
    (found,) = [item for item in registered if item.name == name]
    return found


def _config_map(name: str = "a", **data: str) -> Callable[[], None]:
    def program() -> None:
        k8s.core.v1.ConfigMap("a", metadata={"name": name, "namespace": "ns"}, data=data)

    return program


def _release(name: str = "r", **values: object) -> Callable[[], None]:
    def program() -> None:
        release = k8s.helm.v3.Release("r", name=name, chart="c", values=values)
        pulumi.export("release", release.status.apply(lambda status: status.name))

    return program


def _user_runner(group_id: int = 1, description: str = "") -> Callable[[], None]:
    def program() -> None:
        runner = gitlab.UserRunner(
            "u", runner_type="group_type", group_id=group_id, description=description
        )
        pulumi.export("token", runner.token)

    return program


def _steps(old: list[RegisteredResource], new: list[RegisteredResource]) -> dict[str, Step]:
    return {step.name: step for step in plan(old, new, Scrubber()).steps}


def _operations(before: Callable[[], object], after: Callable[[], object]) -> dict[str, str]:
    old = _record(before)
    found = _steps(old, _record(after, preview=True, state=old))
    return {name: step.operation for name, step in found.items() if step.changes}


def _globals() -> tuple[object, ...]:
    """Return what the SDK keeps of the program that runs."""
    runtime = pulumi.runtime
    program = (pulumi.get_stack(), pulumi.get_project(), runtime.is_dry_run())
    return (*program, runtime.get_root_resource(), dict(runtime.config.CONFIG.get()))


class TestRecorder:
    def test_urns_are_those_of_the_engine(self) -> None:
        registered = _record(lambda: Group("x"))

        types = "image-builds:index:Group$kubernetes:core/v1:Secret"
        assert _one(registered, "made").urn == f"urn:pulumi:dev::image-builds::{types}::made"
        assert _one(registered, "made").parent == _one(registered, "group").urn
        assert _one(registered, "copy").dependencies == [_one(registered, "made").urn]

    def test_exports_are_the_outputs_of_the_stack(self) -> None:
        (stack,) = _record(lambda: pulumi.export("list", [1, 2.5, True, None]))

        assert plain(stack.outputs) == {"list": [1, 2.5, True, None]}
        assert isinstance(stack.outputs["list"][0], int)

    def test_outputs_of_a_component_keep_secrets_marked(self) -> None:
        outputs = _one(_record(lambda: Group("x")), "group").outputs

        assert outputs["count"] == 2
        assert "x" not in outputs["data"]
        assert plain(outputs) == {"count": 2, "data": {"key": "x"}}

    def test_a_release_has_the_name_that_it_is_given(self) -> None:
        assert _record(_release())[0].outputs == {"release": "r"}

    def test_what_ignores_changes_stays_as_deployed(self) -> None:
        deployed = _record(lambda: Group("first"))

        registered = _record(lambda: Group("second"), state=deployed)

        assert plain(_one(registered, "made").inputs["data"]) == {"key": "first"}
        assert plain(_one(registered, "copy").inputs["data"]) == {"key": "first"}
        assert {step.operation for step in plan(deployed, registered, Scrubber()).steps} == {"same"}

    def test_a_token_of_gitlab_is_unknown_until_it_is_made(self) -> None:
        deployed = _record(_user_runner())

        assert plain(deployed[0].outputs)["token"] == "glrt-made-by-gitlab"
        (first, *_) = _record(_user_runner(), preview=True)
        assert plain(first.outputs)["token"] == UNKNOWN_ON_THE_WIRE
        (again, *_) = _record(_user_runner(), preview=True, state=deployed)
        assert plain(again.outputs) == plain(deployed[0].outputs)

    def test_no_run_leaves_anything_behind(self) -> None:
        before = _globals()

        def program() -> None:
            pulumi.runtime.set_all_config({"image-builds:a": "b"})
            assert pulumi.get_stack() == "dev"

        registered = [_record(program, preview=True) for _ in range(2)]

        assert registered[0] == registered[1]
        assert _globals() == before

    def test_what_the_program_logs_goes_nowhere(self, capfd: pytest.CaptureFixture[str]) -> None:
        def program() -> None:
            for log in (pulumi.log.info, pulumi.log.warn, pulumi.log.error):
                log("a line of the program")

        _record(program)

        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("program", "what"),
        [
            (lambda: k8s.core.v1.Namespace.get("ns", "ns"), "reads kubernetes:core/v1:Namespace"),
            (lambda: pulumi.runtime.invoke("a:b:c", {}), "calls a:b:c"),
        ],
    )
    def test_a_question_to_an_engine_is_refused(
        self, program: Callable[[], object], what: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(pulumi.RunError, match=f"the program {what}.*, which only an engine"):
            _record(program)
        assert capfd.readouterr() == ("", "")

    def test_a_failure_in_an_apply_is_the_callers(self) -> None:
        def fail(_: object) -> None:
            message = "in an apply"
            raise pulumi.RunError(message)

        with pytest.raises(pulumi.RunError, match="in an apply"):
            _record(lambda: pulumi.Output.from_input(1).apply(fail))

    def test_the_engines_protocol_has_the_known_calls_alone(self) -> None:
        """A new one may carry what the recorder has to keep; nothing here calls methods (Call)."""
        calls = {name for name in vars(resource_pb2_grpc.ResourceMonitorServicer) if name[0] != "_"}

        assert calls <= {
            "Call",
            "ExistsResource",
            "GetDeploymentInfo",
            "Invoke",
            "ReadResource",
            "RegisterErrorHook",
            "RegisterPackage",
            "RegisterResource",
            "RegisterResourceHook",
            "RegisterResourceOutputs",
            "RegisterStackInvokeTransform",
            "RegisterStackTransform",
            "SignalAndWaitForShutdown",
            "SupportsFeature",
        }


class TestPlan:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (_config_map(), _config_map(), {}),
            (lambda: None, _config_map(), {"a": "create"}),
            (_config_map(), lambda: None, {"a": "delete"}),
            (_config_map(k="1"), _config_map(k="2"), {"a": "update"}),
            (_config_map("x"), _config_map("y"), {"a": "replace"}),
            (_release(a=1), _release(a=2), {"r": "update"}),
            (_release("x"), _release("y"), {"r": "replace"}),
            (_user_runner(), _user_runner(description="d"), {"u": "update"}),
            (_user_runner(), _user_runner(group_id=2), {"u": "replace"}),
        ],
    )
    def test_operations_are_those_of_the_engine(
        self, before: Callable[[], None], after: Callable[[], None], expected: dict[str, str]
    ) -> None:
        assert _operations(before, after) == expected

    def test_the_order_of_registrations_does_not_matter(self) -> None:
        old, new = _record(lambda: Group("x")), _record(lambda: (Group("x"), _config_map()()))

        assert plan(old, new, Scrubber()) == plan(old[::-1], new[::-1], Scrubber())

    def test_a_secret_that_differs_shows_its_path_alone(self) -> None:
        made = _steps(_record(lambda: Group("first")), _record(lambda: Group("second")))["made"]

        assert (made.operation, made.changed_paths) == ("update", ("data.key",))
        assert made.old == made.new
        assert made.new
        assert made.new["data"] == SECRET

    def test_an_unknown_input_is_said_in_words(self) -> None:
        def program() -> None:
            runner = gitlab.UserRunner("u", runner_type="group_type", group_id=1)
            shown = pulumi.Output.unsecret(runner.token)
            k8s.core.v1.ConfigMap("c", data={"digest": shown})

        found = _steps([], _record(program, preview=True))

        assert found["c"].new
        assert found["c"].new["data"] == {"digest": UNKNOWN}

    def test_a_key_of_the_sdk_is_not_an_input(self) -> None:
        registered = _record(_release())

        assert "compat" in _one(registered, "r").inputs
        assert "compat" not in str(_steps([], registered)["r"].new)

    def test_known_secrets_are_taken_out_of_all_texts(self) -> None:
        found = plan((), _record(_config_map(k="PlantedSecret")), Scrubber(["PlantedSecret"]))

        assert "Planted" not in str(found)
