"""The official release archives and their checksums, for machines that reach them.

Each checksum was read in a published source, which its line names; none of the files was
fetched where this was written. A program without an entry for a platform is built from Go
modules there.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Archive:
    """One file: its address, its digest, and the member to take (none: it is the program)."""

    url: str
    digest: str
    member: str = ""
    algorithm: str = "sha256"


_GITHUB = "https://github.com"
_PULUMI = f"{_GITHUB}/pulumi/pulumi/releases/download/v{{version}}/pulumi-v{{version}}"
_PROVIDER = "https://api.pulumi.com/releases/plugins/pulumi-resource-kubernetes-v{version}"
_ETCD = f"{_GITHUB}/etcd-io/etcd/releases/download/v{{version}}/etcd-v{{version}}"
_KWOK = f"{_GITHUB}/kubernetes-sigs/kwok/releases/download/v{{version}}/kwok"
_KUBERNETES = "https://dl.k8s.io/v{version}/kubernetes-server"

_KUBERNETES_DIGESTS = {
    # kubernetes/kubernetes: CHANGELOG/CHANGELOG-1.34.md
    "linux-amd64": (
        "016b09cb70b4335201095b96cd564059eece9ece9e945e045b4558afa9dbd998"
        "40cd7a48ed6c06a888276c939c8dc30afc8a7435689c9efd295a9f9de1f477c3"
    ),
    "linux-arm64": (
        "b5a74b68e3e88f420ff6bae262f0611a80360672a05170b71613babb4fd072f3"
        "6b2f067347feb16f0a9c1b20bca01fc8c07d83e3a55ecd133615c9fa6e5066ca"
    ),
}

ARCHIVES: dict[tuple[str, str], Archive] = {
    # pulumi/homebrew-tap: Formula/pulumi.rb, and cashapp/hermit-packages: pulumi.hcl
    ("pulumi", "linux-amd64"): Archive(
        f"{_PULUMI}-linux-x64.tar.gz",
        "fe4afd4cda48f7fe06961268834caf78fb1efa8b31ee61ad00ee2e6cfa91caea",
        "pulumi/pulumi",
    ),
    ("pulumi", "linux-arm64"): Archive(
        f"{_PULUMI}-linux-arm64.tar.gz",
        "a5b0c4cfc894d9147b8769eeb590fb6517f98829595d95443c2b6f91b1815711",
        "pulumi/pulumi",
    ),
    # NixOS/nixpkgs: pkgs/by-name/pu/pulumi-bin/data.nix
    ("pulumi-resource-kubernetes", "linux-amd64"): Archive(
        f"{_PROVIDER}-linux-amd64.tar.gz",
        "6ea3d53c16a00c4d1017c4d109928d8f4801fd7cd978965cd43917561f3774b0",
        "pulumi-resource-kubernetes",
    ),
    ("pulumi-resource-kubernetes", "linux-arm64"): Archive(
        f"{_PROVIDER}-linux-arm64.tar.gz",
        "e4260240ed14bff6ed1a5a25a362311380ea1c072544fc262532b8197ea0725c",
        "pulumi-resource-kubernetes",
    ),
    # kubernetes-sigs/kubespray: roles/kubespray_defaults/vars/main/checksums.yml
    ("etcd", "linux-amd64"): Archive(
        f"{_ETCD}-linux-amd64.tar.gz",
        "66bad39ed920f6fc15fd74adcb8bfd38ba9a6412f8c7852d09eb11670e88cac3",
        "etcd-v{version}-linux-amd64/etcd",
    ),
    ("etcd", "linux-arm64"): Archive(
        f"{_ETCD}-linux-arm64.tar.gz",
        "7010161787077b07de29b15b76825ceacbbcedcb77fe2e6832f509be102cab6b",
        "etcd-v{version}-linux-arm64/etcd",
    ),
    # steven-cutting/knarr and the Arch User Repository's kwok-bin: two records that agree
    ("kwok", "linux-amd64"): Archive(
        f"{_KWOK}-linux-amd64",
        "f5a4385a2ae1b9dd7f8acae18e002a75c0ebba124ae9d7259aa8dadb50711f46",
    ),
    **{
        (program, system): Archive(
            f"{_KUBERNETES}-{system}.tar.gz",
            digest,
            f"kubernetes/server/bin/{program}",
            "sha512",
        )
        for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        for system, digest in _KUBERNETES_DIGESTS.items()
    },
}
