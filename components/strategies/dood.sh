#!/bin/sh
. ./parts/docker.sh
