"""The chart in the stack file: its version, where it comes from, and the images that it deploys."""

from typing import Self

from pydantic import Field, model_validator

from components.gitlab_runner import charts
from components.image_reference import ImageReference
from components.types import ChartDigest, ChartVersion, Image, Model, Repository, Url


class ChartImages(Model):
    """A mirror of GitLab's images for managers and for the helper container of jobs."""

    registry: Repository | None = None
    """Where the mirror keeps what is `registry.gitlab.com/gitlab-org` there:
    `mirror.example.com/gitlab-org` has the images `gitlab-runner` and
    `gitlab-runner/gitlab-runner-helper` below it, with GitLab's tags. Security: anyone who may push
    there gets the tokens of runners and jobs."""
    pull: str | None = None
    """The name of the login in `image-builds:registryCredentials` that pulls them. Security: it
    goes as the Secret `registry-pull` to the managers' namespace and to job namespaces."""


class Chart(Model):
    """The official GitLab Runner chart: which version, and from where."""

    version: ChartVersion = charts.DEFAULT_VERSION
    """The exact version of the chart, 0.86.0 or later, so that each deployment installs the same. A
    preview names the fixes that versions below 0.88.4 lack; some keys of a runner need a later one.
    With `archive`, it must be the version of the archive."""
    repository: Url = "https://charts.gitlab.io"
    """The Helm repository that has the chart. Set it to a mirror where the cluster's operators
    cannot reach GitLab's own. Security: anyone who serves the chart decides what is deployed,
    unless `digest` holds it."""
    archive: str | None = Field(default=None, min_length=1)
    """A chart archive or folder on the machine that deploys, used in place of the repository, for
    deployments without a network. It needs `digest`."""
    digest: ChartDigest | None = None
    """The SHA-256 of the chart's archive, as `sha256sum` prints it, or of the list of files in a
    folder: `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`. An archive
    with another digest is rejected; a preview checks what a repository has. Security: without it,
    the contents of a version can change unseen."""
    images: ChartImages = ChartImages()
    """Where the images of managers and of the helper come from; by default from GitLab."""
    manager_image: Image | None = None
    """The image of managers in place of GitLab's, of the version that the chart deploys. Security:
    it has the token of the runner and may create pods, so pin it by a digest."""
    helper_image: Image | None = None
    """The image of the helper container in place of GitLab's, of the runner's version. Security: it
    handles the token and the sources of every job, so pin it by a digest."""

    @model_validator(mode="after")
    def _images_are_there(self) -> Self:
        if self.images.pull and not self.image_hosts():
            message = (
                "must not have images.pull without an image of a mirror; remove it, or set "
                "images.registry"
            )
            raise ValueError(message)
        if self.images.registry and not self.helper_image and not charts.is_known(self.version):
            message = (
                "must have helperImage with images.registry, since the runner that chart "
                f"{self.version} deploys is not known here; set it to the helper of that version"
            )
            raise ValueError(message)
        return self

    def image_hosts(self) -> set[str]:
        """Return the registries of the images that are not GitLab's own."""
        given = (self.images.registry, self.manager_image, self.helper_image)
        return {ImageReference.parse(name).registry for name in given if name}
