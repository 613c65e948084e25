"""The rule about identities in clouds: whose jobs have one."""

from collections.abc import Iterator

from components.workloads import PROTECTED
from report.analysis.pods.pod import cloud_risks
from report.analysis.rule import Finding, Resource, Rule
from report.inputs.events import RUNNER
from report.tree import identity, inside

ACCOUNT = "kubernetes:core/v1:ServiceAccount"


@Rule(
    "no-open-identity-in-prod",
    "major",
    "set registration.protected of a runner that the stack creates; accept it where GitLab gives "
    "the runner jobs of protected branches only",
    production=True,
    key=("identity", "jobs"),
)
def find_identities(resource: Resource) -> Iterator[Finding]:
    """In production, jobs act in a cloud only on a runner for protected branches."""
    metadata = inside(resource.inputs, "metadata")
    of_jobs = RUNNER in resource.components and resource.name.endswith("-job")
    protected = inside(metadata, "annotations").get(PROTECTED) == "true"
    if resource.type != ACCOUNT or not of_jobs or protected:
        return
    name = identity(resource.inputs)
    for _, risks in cloud_risks(name, metadata):
        for risk in sorted(risks):
            text = f"{name} lets jobs of branches that are not protected act in the cloud as {risk}"
            yield Finding(name, risk, text)
