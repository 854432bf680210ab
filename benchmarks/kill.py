"""Kill -9 at random moments of every command that leaves a folder, and the same command again until it is done.

    python benchmarks/kill.py                          5 kills of each, three minutes on two busy cores
    python benchmarks/kill.py --n 100                  100 of each
    python benchmarks/kill.py --only finetune cache    some of them

Each job is tiny, and done once undisturbed. Then processes do it again in another folder: each is killed (SIGKILL, which no program can
catch) at a moment drawn from the time that the whole job takes, and the next one begins in what it left, until one comes to the end.
After every kill each file under its final name must be whole. At the end there must be the files of the undisturbed run and no others,
with the same bytes; in tables without the columns of time, and without the provenance, which holds the hour. One thread is used, since
more of them add in another order. Killed processes are children of this one (os.fork), so this does not run on Windows.

A line for each job says how many processes were killed, in how many folders, and what differed; the exit status is 1 if anything did."""
import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

os.environ['OMP_NUM_THREADS'] = '1'
import matplotlib  # noqa: E402

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import nbformat  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from otcxr import workflow  # noqa: E402
from otcxr.cache import CacheBuild, build_cache  # noqa: E402
from otcxr.collection import Radiographs  # noqa: E402
from otcxr.datasets import load_radiographs  # noqa: E402
from otcxr.encoder import Encoder  # noqa: E402
from otcxr.finetune import FinetuneConfig, finetune  # noqa: E402
from otcxr.predictions import load_predictions  # noqa: E402
from otcxr.pretrain import PretrainConfig, pretrain  # noqa: E402
from otcxr.provenance import provenance, save_table  # noqa: E402
from otcxr.runs import load_tensors, read_provenance  # noqa: E402
from otcxr.segment import SegmentConfig, load_images, segment  # noqa: E402

TIMES = ['images_per_s', 'wait', 'views'] # columns that no two runs share

def collection():
    "Sixty drawn images of thirty patients, with a finding and a mask"
    n, y = 60, np.linspace(0, 6, 48)
    images = [127 + 60*np.sin(y[:, None]*(1 + i % 5) + i) + 60*np.cos(y[None]*(1 + i % 3)) for i in range(n)]
    images = np.stack(images).clip(0, 255).astype(np.uint8)
    patient = np.arange(n)//2
    table = pd.DataFrame(dict(image_id=[f'i{i:02d}' for i in range(n)], path='', patient_id=[f'p{k:02d}' for k in patient], view='PA',
                              split=np.array(['train', 'train', 'train', 'valid', 'test'])[patient % 5], Bright=np.arange(n) % 2))
    return Radiographs(images, table, ['Bright'], 'drawn', {'high': images > 180})

def jobs(work):
    "{name: function of a folder}; what several processes share is made here, before they part"
    data, encoder = collection(), Encoder('resnet10_half', size=32)
    shared = dict(batch_size=12, precision='fp32')
    before = PretrainConfig.from_dict(dict(size=32, epochs=2, warmup_epochs=1., log_every=2, checkpoint_minutes=1e-9, **shared,
                                           model=dict(arch='resnet10_half', widths=[32, 32])))
    after = FinetuneConfig(size=32, epochs=2, min_steps=3, ema=.9, **shared)
    outline = SegmentConfig(size=32, steps=6, checks=2, **shared)
    films = work/'films'
    films.mkdir()
    for name, x in zip(data.table.image_id, data.images): Image.fromarray(x).save(films/f'{name}.png')
    table = data.table.assign(path=[str(films/f'{i}.png') for i in data.table.image_id])
    table.attrs = dict(name='drawn', findings=['Bright'])
    CacheBuild.block = 6
    def often(job):
        "A checkpoint after every step, where the command itself writes them every few minutes"
        def do(out):
            import otcxr.callback as c
            c.Checkpoint.after_batch = lambda self: self.save()
            job(out)
        return do
    return dict(pretrain=lambda out: pretrain(before, data, out, progress='none'),
                finetune=often(lambda out: finetune(encoder, data, after, out=out, progress='none')),
                segment=often(lambda out: segment(encoder, data, 'high', outline, out=out, progress='none')),
                cache=lambda out: build_cache(table, out/'cache', size=32, workers=1, progress=False),
                reproduce=toy_paper(work))

def toy_paper(work):
    "`reproduce` of a paper of two notebooks, whose jobs are done here, since engine and kernels take longer to start than the rest"
    root, films = work/'paper', work/'drawn.csv'
    (root/'nbs'/'paper'/'profiles').mkdir(parents=True)
    (root/'settings.ini').write_text('[DEFAULT]\nlib_name = otcxr\n')
    (root/'nbs'/'paper'/'profiles'/'toy.yaml').write_text(f'resamples: 7\ndata: {films}\ndata_size: 48\n')
    data = collection()
    (work/'drawn').mkdir()
    for name, x in zip(data.table.image_id, data.images): Image.fromarray(x).save(work/'drawn'/f'{name}.png')
    data.table.assign(path='drawn/' + data.table.image_id + '.png').drop(columns='view').to_csv(films, index=False)
    os.environ.update(OTCXR_HOME=str(work/'home'), OTCXR_DATA=str(work/'nothing')) # their cache is there before the first kill
    load_radiographs(str(films), size=48, progress=False)
    for name in ('toy', 'top'):
        job = nbformat.v4.new_code_cell(f"needs = ()\nmakes = ('{name}.csv', '{name}.png')")
        job.metadata['tags'] = ['job']
        cells = ['import matplotlib.pyplot as plt, pandas as pd\nfrom otcxr.provenance import save_figure, save_table',
                 f"save_table(pd.DataFrame(dict(x=range(999))), '{name}', 'toy')",
                 f"fig, ax = plt.subplots(); ax.plot([0, 1]); save_figure(fig, '{name}', 'toy')"]
        nbformat.write(nbformat.v4.new_notebook(cells=[job, *map(nbformat.v4.new_code_cell, cells)]), root/'nbs'/'paper'/f'{name}.ipynb')
    def execute(notebook, copy, parameters):
        space = {}
        for c in nbformat.read(notebook, 4).cells: exec(c.source, space)
        plt.close('all')
    @contextlib.contextmanager
    def engine(plan, jobs, executor=''):
        for j in plan.jobs:
            if not plan.stamp(j).exists(): workflow.run_job(plan.folder, j.name)
        yield argparse.Namespace(poll=lambda: 0)
    def do(out):
        os.chdir(root)
        workflow.execute, workflow.engine = execute, engine
        workflow.reproduce('toy', out)
    return do

def attempt(job, out, log, after=None):
    "Do the job in a process of its own; kill it after so many seconds. True: it came to its end; raises with its output where it failed"
    pid = os.fork()
    if pid == 0:
        try:
            for stream, at in ((sys.stdout, 1), (sys.stderr, 2)): stream.flush(), os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), at)
            job(out)
            os._exit(0)
        except BaseException: traceback.print_exc()
        os._exit(1)
    start = time.perf_counter()
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if after is not None and time.perf_counter() - start > after:
            os.kill(pid, signal.SIGKILL)
            after = None
        time.sleep(5e-4)
    rc = os.waitstatus_to_exitcode(ended[1])
    if rc not in (0, -signal.SIGKILL): raise RuntimeError(f'exit {rc}: {log.read_text()[-2000:]}')
    return rc == 0

def files(folder): return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob('*')) if p.is_file()}

def content(file, loose=False):
    "What must be the same in two runs; raises for a file that is not whole"
    if file.suffix == '.safetensors': return {k: v.numpy().tobytes() for k, v in load_tensors(file)[0].items()}
    if file.suffix == '.parquet': return (load_images if file.name == 'images.parquet' else load_predictions)(file).to_csv()
    if file.suffix == '.pt':
        with zipfile.ZipFile(file) as z: return z.testzip()
    if file.name == 'provenance.json' and not loose: read_provenance(file.parent)
    if file.suffix == '.json': return sorted(json.loads(file.read_text()))
    if file.name == 'history.csv': # appended to, so that its last line may be torn while the run goes on
        lines = file.read_text().splitlines(keepends=True)
        rows = [l.split(',') for l in lines if l.endswith('\n')]
        keep = [k for k, name in enumerate(rows[0]) if name.strip() not in TIMES] if rows else []
        return [[r[k] for k in keep] for r in rows]
    return file.read_bytes()

def differences(found, want):
    "What two finished folders do not have in common, in words"
    a, b = files(found), files(want)
    told = [f'{name} is left over' for name in a if name not in b] + [f'{name} is missing' for name in b if name not in a]
    return told + [f'{name} differs' for name in a if name in b and content(a[name]) != content(b[name])]

def half_written(folder):
    "Files under their final names that cannot be read"
    bad = []
    for name, file in files(folder).items():
        if any(part.startswith('.') for part in Path(name).parts): continue
        try: content(file)
        except Exception as e: bad.append(f'{name} is half-written ({e})')
    return bad

def campaign(name, job, n, seed, work):
    "The job undisturbed, then with `n` kills; what was wrong, in words"
    rng, problems, kills, folders = random.Random(f'{seed} {name}'), [], 0, 0
    whole, log, start = work/name/'whole', work/f'{name}.log', time.time()
    whole.mkdir(parents=True)
    attempt(job, whole, log)
    took = time.time() - start
    while kills < n and not problems:
        out = work/name/f'killed{folders}'
        out.mkdir()
        folders += 1
        while not attempt(job, out, log, rng.uniform(0, 1.02*took) if kills < n else None):
            kills += 1
            problems += half_written(out)
        problems += differences(out, whole)
        shutil.rmtree(out)
    print(f'{name:10s} {kills} killed in {folders} folders, {time.time() - start:.0f} s: '
          + ('; '.join(problems[:5]) or f'the same {len(files(whole))} files, nothing left over'), flush=True)
    return dict(job=name, killed=kills, folders=folders, files=len(files(whole)), problems='; '.join(problems))

if __name__ == '__main__':
    names = ('pretrain', 'finetune', 'segment', 'cache', 'reproduce')
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--n', type=int, default=5, help='processes to kill of each job')
    p.add_argument('--seed', type=int, default=0, help='of the moments; the machine has a say in them too')
    p.add_argument('--only', choices=names, nargs='+', default=names, metavar='JOB', help=f"some of {', '.join(names)}")
    p.add_argument('--save', action='store_true', help='keep the table in results/checks')
    a, start = p.parse_args(), time.time()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as tmp, contextlib.chdir(tmp):
        all_jobs = jobs(Path(tmp))
        found = pd.DataFrame([campaign(name, all_jobs[name], a.n, a.seed, Path(tmp)) for name in a.only])
    if a.save: save_table(found, 'kill', 'checks', provenance(vars(a), a.seed, start=start))
    sys.exit(int((found.problems != '').any()))
