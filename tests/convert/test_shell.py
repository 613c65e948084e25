"""The commands of scripts are found in whatever way people write them."""

import pytest

from convert.pipeline.shell import parse


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("docker build . && docker push a", ["docker build .", "docker push a"]),
        ("docker build \\\n  --tag a .", ["docker build --tag a ."]),
        ("# docker build .\ndocker push a # docker pull", ["docker push a"]),
        ("echo '# docker'; docker push 'a b'", ["echo # docker", "docker push a b"]),
        ('docker push "a \\"b\\" $(date +%s)"', ["date +%s", 'docker push a "b" $(date +%s)']),
        ("docker push `cat name`", ["cat name", "docker push `cat name`"]),
        ('docker push "`cat name`"', ["cat name", "docker push `cat name`"]),
        ("echo $((1 + (2)))", ["echo $((1 + (2)))"]),
        ("a=$(docker ps -q) docker rm $a", ["docker ps -q", "docker rm $a"]),
        (
            "if ! docker info; then exit 1; else docker ps; fi",
            ["docker info", "exit 1", "docker ps"],
        ),
        ("for a in b c; do docker push $a; done", ["docker push $a"]),
        ("while read -r a; do docker push $a; done <list", ["read -r a", "docker push $a"]),
        (
            "case $A in\n  b | docker) docker push b ;;\n  *) docker push c ;;\nesac\ndocker ps",
            ["docker push b", "docker push c", "docker ps"],
        ),
        ("build() {\n  docker build .\n}\nbuild", ["docker build .", "build"]),
        ("function build { docker build .; }; build", ["docker build .", "build"]),
        ("function build() {\n  docker build .\n}", ["docker build ."]),
        (
            "case $A in b|c) docker push b ;; d) docker push c ;; esac; docker ps",
            ["docker push b", "docker push c", "docker ps"],
        ),
        (
            "docker ps -q | xargs -r docker stop",
            ["docker ps -q", "xargs -r docker stop", "docker stop"],
        ),
        ("(cd a; docker build .) | tee log", ["cd a", "docker build .", "tee log"]),
        ("cat <<-'EOF' >file\ndocker build\nEOF\ndocker push a", ["cat", "docker push a"]),
        ("cat <<EOF\ndocker build", ["cat"]),
        ("cat <<<text\ndocker ps", ["cat", "docker ps"]),
        ("docker ps >/dev/null 2>&1 &", ["docker ps"]),
        ("docker ps &>log", ["docker ps"]),
        ("sudo -E docker ps", ["sudo -E docker ps", "docker ps"]),
        ("timeout 60 docker ps", ["timeout 60 docker ps", "docker ps"]),
        ("sudo", ["sudo"]),
        ("sh -c 'a b && c'", ["sh -c a b && c", "a b", "c"]),
        ("bash build.sh", ["bash build.sh"]),
        ("docker ps\\", ["docker ps"]),
        ("docker 'ps", ["docker ps"]),
        ("docker $(ps", ["ps", "docker $(ps"]),
        ("f(", []),
        ("", []),
    ],
)
def test_the_commands_of_a_script(script: str, commands: list[str]) -> None:
    assert [command.text for command in parse(script) if command.words] == commands


def test_variables_that_are_set_for_later_are_known() -> None:
    first, second, third = parse("export A=1 B=2\nC=3\nD=4 docker ps")

    assert (first.assigned, first.sets) == ({"A": "1", "B": "2"}, True)
    assert (second.assigned, second.sets) == ({"C": "3"}, True)
    assert (third.assigned, third.sets, third.words) == ({"D": "4"}, False, ("docker", "ps"))


def test_a_command_knows_its_line_its_loop_and_its_files() -> None:
    found = {command.name: command for command in parse("\n\nuntil nc a; do :; done\necho x >f")}

    assert (found["nc"].line, found["nc"].waits) == (2, True)
    assert (found["echo"].line, found["echo"].written) == (3, ("f",))


def test_commands_in_commands_have_an_end() -> None:
    script = "echo"
    for _ in range(9):
        script = f"echo $({script})"

    assert len(parse(script)) == 5
