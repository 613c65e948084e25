"""The images that jobs need, made on this machine under the names that plans use.

No registry of images can be reached where only package registries can. What each image holds is
what a job may count on in the original: the programs, their places, the user and the variables.
The programs are built from Go modules, the rest comes from Debian's packages.
"""
