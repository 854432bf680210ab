"""Every number that the project states about speed, memory and numerical agreement, with its target: `python benchmarks/run.py`.

Both sides of a ratio are measured in this process, in turn; medians are printed. Exits with status 1 if a target is missed.
`--quick` only shows that everything runs; `--only agreement|transport|views|step|metrics|cache|tries` picks groups (cache: of image
files; tries: what was tried for transport and is not kept; it needs a C++ compiler). `--save` keeps the table with its provenance in results/benchmarks: all groups as speed.csv, some under their own names."""
import argparse
import importlib
import sys
import time

import pandas as pd
import torch

from otcxr.provenance import provenance, save_table

GROUPS = ('agreement', 'transport', 'views', 'step', 'metrics')
MORE = ('cache', 'tries') # that are asked for by name

def transport_rows(quick):
    "The rows of benchmarks/transport.py in the form of the other groups: speed, and peak memory where it has a target."
    for r in importlib.import_module('transport').rows(quick=quick):
        what = f"sinkhorn {r['case']}, {r['grad']}"
        yield dict(what=f'{what}: times faster', ours=f"{r['ms']:.1f} ms", against=f"{r['against']} {r['their_ms']:.0f} ms", ratio=r['times_faster'], target=f">= {r['target']}", holds=r['holds'])
        if 'times_less' in r: yield dict(what=f'{what}: times less memory', ours=f"{r['MB']:.1f} MB", against=f"{r['against']} {r['their_MB']:.0f} MB", ratio=r['times_less'], target=f">= {r['memory_target']}", holds=r['memory_holds'])
        yield dict(what=f'{what}: difference of values', ours=f"{r['max_value_difference']:.1e}", against='', ratio=r['max_value_difference'], target='< 1e-6', holds=r['max_value_difference'] < 1e-6)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--only', choices=GROUPS + MORE, nargs='*', default=GROUPS)
    parser.add_argument('--save', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    found, start = [], time.time()
    for group in args.only:
        for row in transport_rows(args.quick) if group == 'transport' else importlib.import_module(group).rows(quick=args.quick):
            found.append(dict(group=group, **row))
            r = found[-1]
            print(f"{'holds ' if r['holds'] else 'MISSED'} {r['what']:<74} {str(r['ours']):>12} | {str(r['against']):<28} ratio {r['ratio']:8.3g}  target {r['target']}", flush=True)
    table = pd.DataFrame(found)
    p = provenance(vars(args), start=start)
    if args.save: save_table(table, 'speed' if set(GROUPS) <= set(args.only) else '-'.join(args.only), 'benchmarks', p)
    print(f"{table.holds.sum()} of {len(table)} hold; {p['device']}, torch {p['versions']['torch']}, {torch.get_num_threads()} threads")
    sys.exit(0 if table.holds.all() or args.quick else 1)
