"""OCPI as partners meet it: one address, two versions, both sides of every module that our parties' roles have.

GET  {url}/versions                              the versions
GET  {url}/{version}                             the endpoints of one
*    {url}/{version}/credentials
*    {url}/{version}/sender/{module}/...         what our parties own
*    {url}/{version}/receiver/{module}/...       what partners push to them
"""
