"""CAs that the tools of jobs trust beside those of their image.

Most tools read one bundle in place of the system's, each by its own variable. So both are joined
into one, before the job's script.
"""

CONFIG_MAP = "ca-certificates"
"""The ConfigMap of the job namespace that has them."""
FOLDER = "/etc/image-builds/ca"
"""Where it is mounted."""
FILE = "ca.crt"
VARIABLES = (
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
"""What tools read: the CLI of AWS, curl, Git, pip, Requests of Python; OpenSSL and Go."""
ADDS = "NODE_EXTRA_CA_CERTS"
"""The variable of Node.js, which adds what it names to its own."""

FOLDERS = f"{FOLDER}:/etc/ssl/certs:/etc/pki/tls/certs"
"""Where programs in Go look for CAs beside those of one bundle: GitLab's helper is one, and no
script can make a bundle for it."""

# Where Debian and Alpine, Red Hat, SUSE, Alpine's OpenSSL and Kaniko's image have their bundle. The
# new one is beside the sources, since Kaniko removes all files of an image that is not mounted.
SHELL = f"""\
for ca_bundle in "${{SSL_CERT_FILE:-}}" /etc/ssl/certs/ca-certificates.crt \\
  /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem \\
  /kaniko/ssl/certs/ca-certificates.crt; do
  if [ -r "$ca_bundle" ]; then break; fi
done
ca_folder=${{CI_PROJECT_DIR:-/tmp/job}}.tmp
if mkdir -p "$ca_folder" &&
  {{ cat "$ca_bundle" 2>/dev/null; echo; cat {FOLDER}/{FILE}; }} >"$ca_folder/ca-bundle.crt"; then
  for ca_variable in {" ".join(VARIABLES)}; do
    export "$ca_variable=$ca_folder/ca-bundle.crt"
  done
  export {ADDS}={FOLDER}/{FILE}
else
  echo "The job's tools do not trust caCertificates: $ca_folder cannot be written." >&2
fi
unset ca_bundle ca_folder ca_variable
"""
"""Shell that makes the bundle and names it to the tools of a job."""
