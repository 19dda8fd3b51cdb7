"""A small internet on this machine, which demo, tests and benchmarks share: sites, name servers, ISPs, mail, time.

Real daemons and real protocols, on loopback only and without privileges: ``lab.lab.open_lab`` opens it for Python,
``python -m lab FOLDER`` for everything else. The product never imports it.
"""
