"""`pnc-gateway doctor`: looks at everything a site stands on, and says what to do. Changes nothing.

`checks` is the list of what is looked at, each a function of the settings; `finding` is what one of them says.
"""
