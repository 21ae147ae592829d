# shellcheck shell=bash
# The pinned versions of everything that the tests and benchmarks drive. Sourced, not run.
#
# A version is raised here and nowhere else; scripts/setup-test-tools then rebuilds what changed.
# shellcheck disable=SC2034 # read by the scripts that source this file

MINIO_MODULE=github.com/minio/minio
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
LOCALSTACK_VERSION=4.10.0
PJDFSTEST_VERSION=0.2.2
FSX_VERSION=0.3.2
CARGO_DENY_VERSION=0.20.2
CRYPTOGRAPHY_VERSION=50.0.2
S3EC_PYTHON_VERSION=4.0.0
S3EC_JAVA_VERSION=4.0.1
MAVEN_DEPENDENCY_PLUGIN_VERSION=3.6.1
