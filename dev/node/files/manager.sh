#!/bin/bash
# Stands in for GitLab Runner in a manager's pod: a process of its name that registers, waits, and
# ends on a signal, since it has no jobs to wait for.
set -eu
case ${1:-} in
  register) echo "registered with nobody: this manager stands in for GitLab Runner" ;;
  verify) echo "is alive" ;;
  run)
    trap 'exit 0' INT QUIT TERM
    sleep infinity &
    wait
    ;;
esac
