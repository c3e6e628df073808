"""The PKI over HTTP: enrolment (EST), OCSP, lists, CA certificates; two listeners, one with TLS and one without."""
