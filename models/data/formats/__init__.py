"""One file per dataset layout that users have; `registry` lists them."""
