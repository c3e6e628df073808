"""The evidence of one charging session in one file, which an outsider checks with nothing else.

Read in this order: `content` says what is in the file, `derive` what follows from its records alone, `checks` what is
then compared, `container` how it is packed and sealed, `verify` all steps over a file, `page` what a driver sees,
`gather` where a hub takes it from. docs/evidence.md is for whoever was given a file.
"""
