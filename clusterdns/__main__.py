"""`python -m clusterdns`"""

from clusterdns.cli import main

main(prog_name="clusterdns")
