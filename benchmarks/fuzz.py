"""Mutated image files, and tables as people write them, against their readers, within 5 s (of processor time) and 2 GB each.

    python benchmarks/fuzz.py                  20,000 DICOM files
    python benchmarks/fuzz.py 5000 --plain     5,000 PNG and JPEG files
    python benchmarks/fuzz.py 5000 --tables    5,000 folders with a CSV file

Image files are made from one written in every encoding and, where the development data are there, from the real ones; each must end in
an image or a `RadiographError`. A folder holds images and a CSV whose truth is known, its paths, ids and labels written as people write
them, and now and then a mistake: it must be read back equal, with labels that are not read named in a warning, or be refused by an
`OtcxrError`. Each is read in a child process under a timer, so that a crash or a hang is counted and not suffered. Number i is the same
in every run."""
import argparse
import collections
import contextlib
import csv
import gzip
import io
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from PIL import Image

from otcxr.core import OtcxrError, real_data
from otcxr.dicom import ENCODINGS, read_dicom, write_dicom
from otcxr.pixels import RadiographError
from otcxr.provenance import provenance, save_table
from otcxr.radiograph import read_radiograph
from otcxr.sources import read_csv_table

SECONDS, MEGABYTES = 5, 2048
OUTCOMES = ['died', 'read', 'refused', 'other exception', 'wrong']


def pattern(h, w, bits, seed=0):
    "Waves with some noise"
    y, x = np.mgrid[:h, :w]
    z = .5 + .4*np.sin(x/9)*np.cos(y/13) + np.random.default_rng(seed).normal(0, .01, (h, w))
    return (z.clip(0, 1)*(2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def table(n, bits):
    "An item of a sequence: a lookup table of n entries"
    item = pydicom.Dataset()
    item.add_new('LUTDescriptor', 'US', [n, 0, bits])
    item.add_new('LUTData', 'OW', np.linspace(0, 2**bits - 1, n).astype('<u2').tobytes())
    return item


def dicom_seeds(folder):
    "-> [(name, bytes, weight)]: every encoding at 8, 12 and 16 bits, with and without the elements that steer the display; the real files"
    path, seeds = folder/'seed.dcm', []
    extras = [{}, dict(PhotometricInterpretation='MONOCHROME1', WindowCenter=[900, 1000], WindowWidth=[800, 2500], VOILUTFunction='SIGMOID', RescaleSlope=2, RescaleIntercept=-100),
              dict(PixelSpacing=[.2, .1], ViewPosition='PA', PatientName='Doe^Jane', NumberOfFrames=1),
              dict(PixelPaddingValue=0, PixelPaddingRangeLimit=9, VOILUTSequence=[table(256, 8), table(4096, 12)], WindowCenter=2048, WindowWidth=4096, BodyPartExamined='THORAX'),
              dict(ModalityLUTSequence=[table(4096, 16)], PixelAspectRatio=[1, 1], WindowCenter=[128, 2048], WindowWidth=[256, 4096])]
    for encoding in ENCODINGS:
        for bits in (8, 12, 16):
            if encoding == 'JPEG' and bits != 8: continue
            write_dicom(path, pattern(96, 80, bits), encoding, bits, **extras[(bits // 4 + len(seeds)) % len(extras)])
            data = path.read_bytes()
            seeds.append((f'{encoding}, {bits} bits', data, 4))
            if bits == 12: seeds.append((f'{encoding}, {bits} bits, no preamble', data[132:], 1))
            if bits == 8 and encoding == 'big endian': seeds.append((f'{encoding}, {bits} bits in words', data.replace(b'\x00\x10OB', b'\x00\x10OW'), 2))
        if encoding != 'JPEG lossless':
            write_dicom(path, np.stack([pattern(96, 80, 8, s) for s in range(3)], -1), encoding)
            seeds.append((f'{encoding}, colour', path.read_bytes(), 1))
    if root := real_data('dicom'):
        for f in sorted(root.rglob('*.dcm')): seeds.append((f'real: {f.name[:30]}', f.read_bytes(), 10 if f.stat().st_size < 2e6 else 1.5))
    return seeds


def plain_seeds(folder):
    "-> [(name, bytes, weight)]: PNG and JPEG files of every kind"
    x, seeds = pattern(96, 80, 8), []
    for mode in ('L', 'RGB', 'RGBA', 'LA', 'P', '1', 'I;16'):
        im = Image.fromarray(pattern(96, 80, 16)) if mode == 'I;16' else Image.fromarray(x).convert(mode)
        im.save(f := io.BytesIO(), 'PNG')
        seeds.append((f'PNG {mode}', f.getvalue(), 1))
    for mode in ('L', 'RGB', 'CMYK'):
        for progressive in (False, True):
            Image.fromarray(x).convert(mode).save(f := io.BytesIO(), 'JPEG', progressive=progressive)
            seeds.append((f'JPEG {mode}{" progressive" if progressive else ""}', f.getvalue(), 1))
    return seeds


def repair_png(d):
    "Right checksums again, so that the damage reaches the decoder"
    import zlib
    pos = 8
    while pos + 12 <= len(d):
        n = struct.unpack_from('>I', d, pos)[0]
        if pos + 12 + n > len(d): break
        struct.pack_into('>I', d, pos + 8 + n, zlib.crc32(d[pos+4:pos+8+n]))
        pos += 12 + n
    return d


def mutated(seeds, number):
    "-> (name, bytes) of file `number`"
    r = random.Random(f'otcxr {number}')
    name, data, _ = r.choices(seeds, [w for *_, w in seeds])[0]
    d = bytearray(data)
    stream = max(d.find(b'\xff\xd8\xff'), d.find(b'\xff\x4f\xff\x51'), d.find(b'\xe0\x7f\x10\x00'))  # where the pixels begin
    for _ in range(r.choice([1, 1, 1, 2, 3, 6, 20])):
        if len(d) < 8: break
        where = r.random()
        at = r.randrange(min(len(d), 1500)) if where < .4 else min(max(stream, 0) + r.randrange(160), len(d) - 1) if where < .75 else r.randrange(len(d))
        how = r.random()
        if how < .3: d[at] = r.choice([0, 1, 2, 127, 128, 254, 255])
        elif how < .5: d[at] = r.randrange(256)
        elif how < .65: d[at] ^= 1 << r.randrange(8)
        elif how < .72: d[at:at+4] = struct.pack(r.choice('<>') + 'I', r.choice([0, 1, 0xffff, 0x7fffffff, 0xffffffff, 0xfffffffe, len(d), r.randrange(2**32)]))
        elif how < .79: d[at:at+2] = struct.pack(r.choice('<>') + 'H', r.choice([0, 1, 2, 8, 255, 4096, 0x7fff, 0xffff, r.randrange(2**16)]))
        elif how < .86: del d[at:at + r.choice([1, 2, 4, 8, 40, 1000])]
        elif how < .93: d[at:at] = r.choice([r.randbytes(r.choice([1, 2, 8, 64])), bytes(8), b'\xfe\xff\x00\xe0' + bytes(4), b'\xff' * 4])
        else: other = r.choice(seeds)[1]; n = r.choice([4, 16, 100, 5000]); s = r.randrange(len(other)); d[at:at+n] = other[s:s+n]
    if r.random() < .12: del d[r.randrange(len(d) + 1):]
    if d[:4] == b'\x89PNG' and r.random() < .7: d = repair_png(d)
    return name, bytes(d)


def image_case(seeds, path, number):
    "-> a function that reads file `number`"
    path.write_bytes(mutated(seeds, number)[1])

    def read():
        try:
            x = read_dicom(path, strict=False) if path.suffix and number % 2 else read_radiograph(path)
            return 1 if x.ndim == 2 and x.dtype in (np.uint8, np.uint16) and x.min() < x.max() else 4
        except RadiographError as e: return 2 if str(e).startswith(str(path)) else 3
    return read


# Tables: how people write things

PATHS = [lambda p: p, lambda p: p, lambda p: p.replace('/', '\\'), lambda p: f'./{p}', lambda p: f'.\\{p}', lambda p: f' {p} ', lambda p: f'x/../{p}', lambda p: p.replace('/', '//'),
         lambda p: p.upper(), lambda p: os.path.splitext(p)[0], lambda p: f'{os.path.splitext(p)[0]}.dcm', lambda p: f'{os.path.splitext(p)[0]}.JPG', lambda p: f'collection/{p}',
         lambda p: unicodedata.normalize('NFD', p), lambda p: unicodedata.normalize('NFC', p), lambda p: f'FOLDER/{p}', lambda p: f'file://FOLDER/{p}'.replace(' ', '%20'), lambda p: p.split('/')[-1]]
WHOLE = [lambda p: f'CheXpert-v1.0-small/{p}', lambda p: f'/home/anna/my films/{p}', lambda p: f'C:\\Users\\anna\\{p}'.replace('/', '\\'), lambda p: f'../input/data/{p}', lambda p: f's3://bucket/{p}']  # the whole table
STEMS = ['a0', 'a1', 'A2', 'Größe', 'scan 3', '1.2.840.113619.7', '00012_003', 'x_y-z', 'frontal', 'lateral', 'été', 'film#1', '100%', 'ﬁlm', '007', '7']
FOLDERS = ['', 'images', 'images/p1', 'p1', 'p2', 'P3', 'train/patient00001/study1', 'train/patient00002/study1', 'Bilder für Anna']
PATIENTS = ['NA', 'BK', 'null', '10', '21', 'P3', 'Müller', 'None', 'x y', '1.2', 'a/b', 'nan', "O'Neil", '#4']
LABELS = [('0', '1', ''), ('0', '1', 'NA'), ('0.0', '1.0', ''), ('0.0', '1.0', 'nan'), ('False', 'True', ''), ('false', 'TRUE', 'N/A'), ('no', 'yes', ''), ('N', 'Y', ''), ('F', 'T', ''), ('negative', 'positive', ''),
          ('0', '1', '-1'), ('0.0', '1.0', '-1.0'), ('0', '1', 'u'), ('0', '1', '?'), (' 0', '1 ', ' '), ('-', 'x', '?'), ('-', '+', ''), ('2', '1', ''), ('0,0', '1,0', ''), ('absent', 'Present', 'uncertain')]
HEADERS = {'image_id': ['image_id'] * 6 + ['Image ID', 'ImageID', ' image_id'], 'patient_id': ['patient_id'] * 6 + ['Patient ID', 'PatientID', 'patient_id '], 'split': ['split'] * 4 + ['Split'], 'file': ['file', 'path', 'File', 'Path']}
OWN = [('mask:lungs', ['rle:200000x200000:0 1', '/dev/zero', 'empty']), ('boxes', ['0', '1', '2 boxes', '[["Mass", 10, 20, 30, 40]]']), ('height', ['0', '1']), ('mask', ['a0.png', 'b.png', '']), ('notes', ['ja, "nein"', 'a\nb', '']), ('EncodedPixels', ['1 2 3 4', '-1'])]


def make_folder(root, r):
    "Images of known content -> [(path below root, content)]"
    chosen, files = {(r.choice(FOLDERS), s) for s in r.sample(STEMS, r.randint(1, 6))}, []
    if r.random() < .3: chosen |= {(r.choice(FOLDERS[1:]), s) for _, s in sorted(chosen)}  # the same names in other folders
    for folder, stem in sorted(chosen):
        name = f'{folder}/{stem}'.strip('/') + r.choice(['.png', '.png', '.jpg', '.PNG', '.dcm'])
        if r.random() < .2: name = unicodedata.normalize('NFD', name)
        if name.lower() in {f.lower() for f, _ in files}: continue
        (root/name).parent.mkdir(parents=True, exist_ok=True)
        (root/name).write_text(f'content of {name}')
        files.append((name, f'content of {name}'))
    if r.random() < .2: (root/'loop').symlink_to('.')
    if r.random() < .2 and (root/'p1').is_dir(): (root/'aka').symlink_to('p1')
    if r.random() < .1: shutil.copytree(root/files[0][0].split('/')[0], root/'small') if '/' in files[0][0] else shutil.copy(root/files[0][0], root/'copy of it.png')
    return files


def make_rows(files, r):
    "-> truth: [{content, path, patient, split, labels}]"
    patients = r.sample(PATIENTS, r.randint(1, len(files)))
    splits = {p: r.choice(['train', 'valid', 'test']) for p in patients}
    rows = [dict(path=f, content=c, patient=r.choice(patients)) for f, c in files]
    for row in rows: row |= dict(split=splits[row['patient']], labels=[r.choice([0, 1, 1, None]) for _ in range(3)])
    return rows


def write_table(root, rows, r):
    "The CSV of a truth -> its path, options to read it with, its columns {truth: header}"
    one, whole = r.choice(PATHS), r.choice(WHOLE) if r.random() < .2 else None
    written = [whole(row['path']) if whole else (r.choice(PATHS) if r.random() < .2 else one)(row['path']).replace('FOLDER', str(root)) for row in rows]
    by_file = r.random() < .7
    columns, names = {}, {k: r.choice(v) for k, v in HEADERS.items()}
    columns[names['image_id']] = [f'i{k}' for k in range(len(rows))] if by_file else written
    if by_file: columns[names['file']] = written
    columns[names['patient_id']] = [r.choice(['', '', ' ']) + row['patient'] for row in rows]
    if r.random() < .5: columns[names['split']] = [r.choice([row['split'], row['split'].upper()]) for row in rows]
    findings = ['Mass', 'Pleural effusion', 'Édème'][:r.randint(1, 3)]
    for k, f in enumerate(findings):
        form = r.choice(LABELS)
        columns[f] = [form[2] if row['labels'][k] is None else form[row['labels'][k]] for row in rows]
    for name, values in r.sample(OWN, r.choice([0, 0, 1, 2])): columns[name] = [r.choice(values) for _ in rows]
    options = {}
    if r.random() < .3: options['findings'] = findings
    if r.random() < .3: options['uncertain'] = 'unknown'
    order = list(columns)
    if r.random() < .4: r.shuffle(order)
    lines = [order, *map(list, zip(*(columns[c] for c in order)))]
    damage = r.random()
    if damage < .03: lines.append(lines[-1])
    elif damage < .06 and len(rows) > 1: lines[-1] = lines[-1][:-1] + ['0', lines[-1][-1]]
    elif damage < .09: lines[0][-1] = lines[0][0]
    elif damage < .12: lines = [line + [''] for line in lines]
    elif damage < .15: lines = [[str(k - 1) if k else ''] + line for k, line in enumerate(lines)]
    elif damage < .18:
        for line in lines[1:]:
            while len(line) > 1 and not line[-1].strip(): line.pop()
    elif damage < .21: lines += [['']*len(order)]*2
    text = io.StringIO()
    csv.writer(text, delimiter=r.choice(',' * 60 + ';\t'), lineterminator=r.choice(['\n', '\r\n']), quoting=r.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(lines)
    encoding, path = r.choice(['utf-8'] * 24 + ['utf-8-sig'] * 9 + ['cp1252', 'utf-16']), root/'l.csv'
    data = text.getvalue().encode(encoding, 'replace')
    if r.random() < .03: data = data[:r.randrange(len(data))].rstrip(b'\r\n')  # cut off; where a line ends nobody could know it
    if r.random() < .1: path, data = root/'l.csv.gz', gzip.compress(data)
    path.write_bytes(data)
    return path, options, findings


def differs(t, rows, findings, heard):
    "What of a table is another than the truth; '' where nothing is"
    truth, patients = {row['content']: row for row in rows}, {}
    if t.path.duplicated().any(): return 'one file in two rows'
    for row in t.itertuples():
        true = truth.get(Path(row.path).read_text())
        if true is None: return f'{row.path} was never meant'
        if patients.setdefault(true['patient'], row.patient_id) != row.patient_id: return f"patient {true['patient']} became {row.patient_id}"
        if 'split' in t.attrs['origin'].split('; ')[-1] and 'column' in t.attrs['origin'] and true['split'] != row.split: return 'split'
    if len(set(patients.values())) != len(patients): return f'patients became one: {patients}'
    for k, f in enumerate(findings):
        if f not in t.attrs['findings']:
            if f"'{f}'" not in heard and any(truth[Path(p).read_text()]['labels'][k] is not None for p in t.path): return f'labels of {f} are lost in silence'
            continue
        for path, y in zip(t.path, t[f]):
            want = truth[Path(path).read_text()]['labels'][k]
            if want != (None if np.isnan(y) else y): return f'{f} of {path}: {want} became {y}'
    if odd := set(t.attrs['findings']) - set(findings): return f'{odd} became findings'
    if odd := [c for c in t if c.startswith('mask:')]: return f'{odd} became masks'
    return ''


def table_case(folder, number):
    "-> a function that reads table `number`, and says what became of it in words where it is wrong"
    r, root = random.Random(f'otcxr table {number}'), folder/'collection'
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    rows = make_rows(make_folder(root, r), r)
    path, options, findings = write_table(root, rows, r)

    def read(say=lambda text: None):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter('always')
            try: t = read_csv_table(path, **options)
            except OtcxrError as e: return 2 if is_named(str(e), path, rows) else say(f'refused without a name: {e}') or 4
        data = path.read_bytes()
        cut = not (gzip.decompress(data) if path.suffix == '.gz' else data).endswith(b'\n')  # what the last line lost cannot be known
        wrong = differs(t[:-1] if cut else t, rows, findings, ' '.join(str(w.message) for w in heard))
        if not wrong and not cut and len(t) != len(rows): wrong = f'{len(t)} rows of {len(rows)}'
        return say(wrong) or 4 if wrong else 1
    return read


def is_named(text, path, rows):
    "Whether a message names the file, an image, or the folder"
    return str(path) in text or str(path.parent) in text or any(row['path'] in text for row in rows)


def campaign(n, case):
    "-> one row a number: (outcome, seconds, peak memory of the process so far in MB); `case(i)` prepares what it returns"
    shared, start = mmap.mmap(-1, 16*n + 8), 0
    while start < n:
        pid = os.fork()
        if not pid:
            warnings.simplefilter('ignore')
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for i in range(start, n):
                shared[:8] = struct.pack('q', i)
                read = case(i)
                signal.setitimer(signal.ITIMER_PROF, 2*SECONDS)
                signal.alarm(60*SECONDS)
                clock = time.process_time()
                try: outcome = read()
                except BaseException: outcome = 3
                took = time.process_time() - clock
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
                shared[8 + 16*i:24 + 16*i] = struct.pack('qff', outcome, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        start = n if status == 0 else struct.unpack('q', shared[:8])[0] + 1
    return [struct.unpack_from('qff', shared, 8 + 16*i) for i in range(n)]


def what_is(folder, number):
    "What became of table `number`, in words"
    words = []
    with contextlib.suppress(BaseException): table_case(folder, number)(words.append)
    return words[0] if words else 'another exception, or no end'


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('n', type=int, nargs='?', default=20_000, help='files or tables to make')
    p.add_argument('--plain', action='store_true', help='PNG and JPEG instead of DICOM')
    p.add_argument('--tables', action='store_true', help='folders with a CSV instead of DICOM')
    p.add_argument('--first', type=int, default=0, help='number of the first one')
    p.add_argument('--save', action='store_true', help='keep the counts in results/checks')
    a, start = p.parse_args(), time.time()
    with tempfile.TemporaryDirectory(dir='/dev/shm' if Path('/dev/shm').is_dir() else None) as tmp:
        folder = Path(tmp)
        seeds = [] if a.tables else plain_seeds(folder) if a.plain else dicom_seeds(folder)
        path = folder/('mutated' if a.plain else 'mutated.dcm')
        clock = time.time()
        rows = campaign(a.n, lambda i: table_case(folder, a.first + i) if a.tables else image_case(seeds, path, a.first + i))
        count = collections.Counter(OUTCOMES[o] for o, *_ in rows)
        slow = max(range(a.n), key=lambda i: rows[i][1])
        bad = [i for i, (o, s, m) in enumerate(rows) if o not in (1, 2) or s > SECONDS or m > MEGABYTES]
        def name(i): return what_is(folder, a.first + i) if a.tables else mutated(seeds, a.first + i)[0]
        print(f'{a.n:,} {"tables" if a.tables else "files"} in {time.time() - clock:.0f} s: ' + ', '.join(f'{count[o]:,} {o}' for o in OUTCOMES if count[o]))
        print(f'slowest {rows[slow][1]:.2f} s (number {a.first + slow}), peak memory {max(m for *_, m in rows):.0f} MB')
        for i in bad[:20]: print('BAD', a.first + i, OUTCOMES[rows[i][0]], f'{rows[i][1]:.2f} s {rows[i][2]:.0f} MB', name(i))
    if a.save:
        kind = 'tables' if a.tables else 'plain' if a.plain else 'dicom'
        row = dict(kind=kind, made=a.n) | {o: count[o] for o in OUTCOMES} | dict(slowest_s=rows[slow][1], peak_MB=max(m for *_, m in rows))
        save_table(pd.DataFrame([row]).round(2), f'fuzz_{kind}', 'checks', provenance(vars(a), start=start))
    raise SystemExit(bool(bad))


if __name__ == '__main__': main()
