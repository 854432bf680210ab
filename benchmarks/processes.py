"""A profile whose networks were pre-trained by two processes, beside the same by one: do its tables stay within the spread of the seeds?

    python benchmarks/processes.py                           all methods of the profile phantom; an hour of two cores
    python benchmarks/processes.py --methods otcxr vicreg    some of them

Four profiles of one seed each: seeds 0, 1, 2 by one process, and seed 0 by two (gloo on a CPU), each with its tables. The batches and the
views of seed 0 are the same by one process and by two, so that what differs is rounding, which training enlarges. Every number of every
table by two processes is set against the interval in which one more seed would lie (95 %, Student's t with two degrees of freedom). The
distance between one process and two at seed 0, and that between seeds 0 and 1, is told in standard deviations of the seeds.
Numbers of speed and memory are left out: they are of the machine. What was begun is continued."""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml
from scipy.stats import t

from otcxr.core import OtcxrError, repo_root
from otcxr.distributed import process_group
from otcxr.provenance import provenance, save_table
from otcxr.reproduce import load_profile, profile_file

LEFT_OUT = ('references', 'ablations', 'transfer')
OF_THE_MACHINE = ('cost', 'cost_downstream'), ('images_per_s',) # tables, columns
PROBABILITY = .95


def write_profile(folder, base, methods, seed):
    "A profile with one seed and without ablations, references and other collections -> its file"
    full = yaml.safe_load(Path(profile_file(base)).read_text())
    own = {k: v for k, v in full.items() if k not in LEFT_OUT} | dict(seeds=[seed])
    if methods: own['methods'] = {m: full['methods'][m] for m in methods}
    folder.mkdir(parents=True, exist_ok=True)
    (folder/f'{base}.yaml').write_text(yaml.safe_dump(own, sort_keys=False))
    return folder/f'{base}.yaml'


def train(file):
    "Pre-train all methods of a profile, in as many processes as were started"
    profile = load_profile(file)
    with process_group():
        data = profile.radiographs()
        for method in profile.methods: profile.train(method, profile.seeds[0], data)


def reproduce(folder, file, processes):
    "All tables of a profile, from networks that were trained by so many processes"
    env = os.environ | dict(OTCXR_ROOT=str(folder), OMP_NUM_THREADS='1')
    if processes > 1:
        launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(processes)]
        subprocess.run([*launch, __file__, '--train', str(file)], env=env, check=True)
    subprocess.run([sys.executable, '-m', 'otcxr', 'reproduce', '--profile', str(file)], env=env, check=True)


def numbers(folder, base):
    "Every number of every table -> a series by table, row and column. Rows are told by their words, not by verdicts"
    found, (tables, columns) = {}, OF_THE_MACHINE
    for file in sorted((folder/'results'/base).glob('*.csv')):
        if file.stem in tables: continue
        table = pd.read_csv(file).drop(columns=['seed', *columns], errors='ignore')
        words = table.select_dtypes(exclude=['number', 'bool']).fillna('').apply(lambda row: ' | '.join(map(str, row)), axis=1)
        for column in table.select_dtypes('number'):
            for place, (row, value) in enumerate(zip(words, table[column])): found[file.stem, row, place, column] = value
    return pd.Series(found, dtype=float)


def compare(seeds, two):
    "Numbers of the seeds by one process, and of two processes -> a row a table"
    rows = pd.concat([*seeds, two], axis=1, keys=range(len(seeds) + 1)).dropna() # that all four have
    rows = rows[rows.iloc[:, :-1].std(axis=1) > 0]
    one, two, n = rows.iloc[:, :-1], rows.iloc[:, -1], len(seeds)
    sd = one.std(axis=1)
    half = t.ppf((1 + PROBABILITY)/2, n - 1)*sd*(1 + 1/n)**.5
    inside = (two - one.mean(axis=1)).abs() <= half
    apart = dict(processes_apart=(two - one[0]).abs()/sd, seeds_apart=(one[1] - one[0]).abs()/sd)
    tables = pd.DataFrame(dict(inside=inside, **apart)).groupby(level=0)
    columns = dict(numbers=tables.size(), inside=tables.inside.mean(), **{k: tables[k].median() for k in apart})
    return pd.DataFrame(columns).rename_axis('table').reset_index()


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--profile', default='phantom')
    p.add_argument('--methods', nargs='*')
    p.add_argument('--out', default=None, help='folder of the runs; default: runs/processes')
    p.add_argument('--save', action='store_true', help='keep the table in results/benchmarks')
    p.add_argument('--train', metavar='FILE', help='only train the methods of this profile, in the processes that were started')
    a, start = p.parse_args(), time.time()
    if a.train: raise SystemExit(train(a.train))
    out = Path(a.out or repo_root()/'runs'/'processes')
    runs = {f'seed{s}-by-{n}': (s, n) for s, n in ((0, 1), (1, 1), (2, 1), (0, 2))}
    for name, (seed, n) in runs.items(): reproduce(out/name, write_profile(out/name, a.profile, a.methods, seed), n)
    found = [numbers(out/name, a.profile) for name in runs]
    table = compare(found[:3], found[3])
    if table.empty: raise OtcxrError(f'{out}: no tables')
    print(table.round(3).to_string(index=False))
    share = (table.inside*table.numbers).sum()/table.numbers.sum()
    print(f'{share:.1%} of {table.numbers.sum()} numbers lie where one more seed would with {PROBABILITY:.0%}')
    if a.save: save_table(table.round(4), 'processes', 'benchmarks', provenance(dict(profile=a.profile, methods=a.methods), start=start))
