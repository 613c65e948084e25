import pytest

from tests.executor.globs import matches


@pytest.mark.parametrize(
    ("glob", "image"),
    [
        ("docker", "docker"),
        ("docker:*", "docker:27-dind@sha256:abc"),
        ("**/docker", "docker"),
        ("**/docker", "registry.example.com:5000/team/docker"),
        ("**/docker:*", "docker:27"),
        ("registry/**/*", "registry/a/b:1"),
        ("registry/**", "registry/a/b:1"),
        ("docker:2?-dind", "docker:27-dind"),
    ],
)
def test_a_glob_matches_what_doublestars_does(glob: str, image: str) -> None:
    assert matches(glob, image)


@pytest.mark.parametrize(
    ("glob", "image"),
    [
        ("docker", "docker:27"),
        ("docker:*", "mirror/docker:27"),
        ("*/docker", "a/b/docker"),
        ("**docker", "a/docker"),
        ("**/docker:*", "my-docker:27"),
        ("**/docker:*", "docker:27/evil"),
        ("a.c", "abc"),
    ],
)
def test_a_glob_stops_where_doublestars_does(glob: str, image: str) -> None:
    assert not matches(glob, image)
