"""Run every command line of README.md and of the tutorials, in the order of the page.  usage: run_lines.py [PAGE ...]

What begins with `otcxr ` in a block of shell is run as it stands, by bash, in a new folder where the downloads that it speaks of lie:
small ones, made of phantom radiographs in the official layout. Only what a line takes hours for is made small, by the options of SHORT
behind it (the last one counts); they are printed. SEPARATE names the lines that another check runs, and where.
The lines that a tutorial runs itself, `otcxr('...')`, are tested with its notebook."""
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from PIL import Image

from otcxr.dicom import write_dicom
from otcxr.phantom import make_phantom

ROOT = Path(__file__).resolve().parent.parent
SHORT = {'pretrain': '--epochs 1 --size 32 --batch-size 16 --arch resnet10_half --set warmup_epochs=0',
         'finetune': '--epochs 1 --size 32 --batch-size 16 --set min_steps=2',
         'segment': '--steps 2 --size 32 --batch-size 8 --set checks=1',
         'correspondence': '--images 12'}
SEPARATE = {'otcxr reproduce --profile phantom': 'bash .ci/run reproduce',
            'otcxr reproduce --profile paper --data cxr -n': 'nbs/paper/at_scale.ipynb, on miniatures of the four layouts'}

def shell_lines(page):
    "The lines of shell blocks, and those behind ! or % in cells, that begin with otcxr"
    if page.suffix != '.ipynb': texts = [page.read_text(encoding='utf-8')]
    else:
        cells = nbformat.read(page, 4).cells
        texts = [c.source if c.cell_type == 'markdown' else f'```bash\n{c.source}\n```' for c in cells]
    blocks = [b for t in texts for b in re.findall(r'^ *```(?:bash|sh|shell|console)\n(.*?)^ *```', t, flags=re.M | re.S)]
    return [m[1].strip() for b in blocks for m in re.finditer(r'^ *(?:[!$%] ?)?(otcxr .*)$', b, flags=re.M)]

def nih_download(root, n=210, size=64):
    "The layout of an NIH download: images in two archives, the table, the lists, boxes of the test part"
    phantom, entries, boxes, lists = make_phantom(n=n, size=size, seed=3), [], [], {'train_val_list.txt': [], 'test_list.txt': []}
    numbers = {p: i + 1 for i, p in enumerate(phantom.table.patient_id.unique())}
    for i, r in enumerate(phantom.table.to_dict('records')):
        name, folder = f'{numbers[r["patient_id"]]:08d}_{i % 3:03d}.png', root/f'images_{1 + 2*i//n:03d}'/'images'
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(phantom.images[i]).save(folder/name)
        labels = '|'.join(f for f in phantom.findings if r[f]) or 'No Finding'
        entries.append({'Image Index': name, 'Finding Labels': labels, 'Follow-up #': i % 3, 'Patient ID': numbers[r['patient_id']],
                        'Patient Age': 50, 'Patient Gender': 'F', 'View Position': r['view']})
        lists['test_list.txt' if r['split'] == 'test' else 'train_val_list.txt'].append(name)
        if r['split'] == 'test': boxes += [(name, f, *(v*1024/size for v in b)) for f, *b in r['boxes']]
    pd.DataFrame(entries).to_csv(root/'Data_Entry_2017_v2020.csv', index=False)
    pd.DataFrame(boxes, columns=['Image Index', 'Finding Label', 'Bbox [x', 'y', 'w', 'h]']).to_csv(root/'BBox_List_2017.csv', index=False)
    for name, ids in lists.items(): (root/name).write_text('\n'.join(ids) + '\n')

def siim_download(root, n=40):
    "The layout of a SIIM-ACR download: DICOM files of 1024 pixels, every second with a mask"
    phantom, rows = make_phantom(n=n, size=64, seed=4), []
    for i, x in enumerate(phantom.images):
        name, (left, top, width, height) = f'1.2.276.0.{i}', (200 + 5*i, 300, 90, 60)
        path = root/'dicom-images-train'/name/name/f'{name}.dcm'
        path.parent.mkdir(parents=True)
        write_dicom(path, np.kron(x, np.ones((16, 16), np.uint8)))
        runs = f'{1024*left + top} {height}' + f' {1024 - height} {height}'*(width - 1) # by columns, each run from the end of the last
        rows.append((name, runs if i % 2 else '-1'))
    pd.DataFrame(rows, columns=['ImageId', ' EncodedPixels']).to_csv(root/'train-rle.csv', index=False)

def other_collection(root, n=30):
    "A folder with a CSV beside its images"
    phantom = make_phantom(n=n, size=64, seed=5)
    root.mkdir()
    for name, x in zip(phantom.table.image_id, phantom.images): Image.fromarray(x).save(root/f'{name}.png')
    phantom.table[['image_id', 'patient_id', 'split', *phantom.findings]].to_csv(root/'labels.csv', index=False)

def new_films(root, n=40):
    "A folder of images without a table"
    for i, x in enumerate(make_phantom(n=n, size=64, seed=6).images):
        folder = root/f'p{i//2}'
        folder.mkdir(parents=True, exist_ok=True)
        if i % 4: Image.fromarray(x).save(folder/f'{i}.png')
        else: write_dicom(folder/f'{i}.dcm', x)

def run_page(page):
    "Run the lines of a page; how many failed"
    lines, failed = shell_lines(page), 0
    if not lines: return 0
    print(page.relative_to(ROOT), flush=True)
    with tempfile.TemporaryDirectory() as d:
        nih_download(Path(d)/'nih')
        siim_download(Path(d)/'siim')
        other_collection(Path(d)/'OTHER')
        new_films(Path(d)/'films')
        for line in lines:
            bare = line.partition(' #')[0].strip()
            if bare in SEPARATE: print(f'  see {SEPARATE[bare]}: {bare}', flush=True)
            else: failed += not run_line(line, d)
    return failed

def run_line(line, folder):
    "Run one line; whether it ended well"
    command = line.split(' #')[0]
    short = SHORT.get(command.split()[1], '')
    start, own = time.time(), os.environ | dict(OTCXR_HOME=f'{folder}/home') # caches are no concern of the user's
    done = subprocess.run(['bash', '-c', f'{command} {short}'], cwd=folder, env=own, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    asked = command.split()[1] == 'data' and command.split()[2] in ('check', 'audit') # 1 is an answer: it is a part, they share something
    ok = done.returncode == 0 or asked and done.returncode == 1 and 'Traceback' not in done.stdout
    print(f"  {'ok' if ok else 'FAILED'} {time.time() - start:4.0f} s: {command.strip()}{'  + ' + short if short else ''}", flush=True)
    if not ok: print(f'    status {done.returncode}', *done.stdout.splitlines()[-25:], sep='\n    ', flush=True)
    return ok

def main(pages):
    "Exit status: 0 where every line ended well"
    pages = [Path(p).resolve() for p in pages] or [ROOT/'README.md', *sorted((ROOT/'nbs'/'tutorials').glob('*.ipynb'))]
    failed = sum(map(run_page, pages))
    print(f"{sum(len(shell_lines(p)) for p in pages)} command lines of {len(pages)} pages, {failed} failed")
    return int(failed > 0)

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
