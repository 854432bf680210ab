"""Every number that the project states about speed, memory and numerical agreement, with its target: `python benchmarks/run.py`.

Both sides of a ratio are measured in this process, in turn; medians are printed. Exits with status 1 if a target is missed.
`--quick` only shows that everything runs; `--only transport|views|step` picks a group; `--csv FILE` keeps the table."""
import argparse
import importlib
import sys

import pandas as pd
import torch

from otcxr.core import provenance

GROUPS = ('transport', 'views', 'step')

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--only', choices=GROUPS, nargs='*', default=GROUPS)
    parser.add_argument('--csv')
    args = parser.parse_args()
    torch.set_num_threads(2)
    found = []
    for group in args.only:
        for row in importlib.import_module(group).rows(quick=args.quick):
            found.append(dict(group=group, **row))
            r = found[-1]
            print(f"{'holds ' if r['holds'] else 'MISSED'} {r['what']:<58} {str(r['ours']):>12} | {str(r['against']):<28} ratio {r['ratio']:8.3g}  target {r['target']}", flush=True)
    table = pd.DataFrame(found)
    if args.csv: table.to_csv(args.csv, index=False)
    p = provenance()
    print(f"{table.holds.sum()} of {len(table)} hold; {p['device']}, torch {p['versions']['torch']}, {torch.get_num_threads()} threads")
    sys.exit(0 if table.holds.all() or args.quick else 1)
