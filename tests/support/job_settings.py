"""What a runner without wishes gives its jobs, for tests to replace parts of."""

from components.runner_toml import JobSettings

JOB = JobSettings(
    namespace="builds-main",
    service_account="gitlab-job-main",
    pull_secret="registry-pull",
    push_secret="registry-push",
    daemon_secret="daemon-certificates",
    files="registry-files",
    concurrent=10,
    environment={"GREETING": "hello"},
    resources={"cpu_request": "500m", "memory_limit": "1Gi"},
    node_selector={},
    tolerations={},
    runtime_class=None,
    priority_class=None,
    seccomp_profile=None,
    pod_disruption_budget=False,
)
