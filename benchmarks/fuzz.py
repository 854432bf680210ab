"""Mutated image files against the reader: each must end in an image or a `RadiographError`, within 5 s (of processor time) and 2 GB.

    python benchmarks/fuzz.py                  20,000 DICOM files
    python benchmarks/fuzz.py 5000 --plain     5,000 PNG and JPEG files

Files are made from one written in every encoding and, where the development data are there, from the real ones. Each is read in a
child process under a timer, so that a crash or a hang is counted and not suffered. File number i is the same in every run."""
import argparse
import collections
import io
import mmap
import os
import random
import resource
import signal
import struct
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from otcxr.core import real_data
from otcxr.dicom import ENCODINGS, read_dicom, write_dicom
from otcxr.pixels import RadiographError
from otcxr.radiograph import read_radiograph

SECONDS, MEGABYTES = 5, 2048
OUTCOMES = ['died', 'image', 'RadiographError', 'other exception']


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


def campaign(seeds, n, folder, suffix, first=0):
    "-> one row a file: (outcome, seconds, peak memory of the process so far in MB)"
    shared, path, start = mmap.mmap(-1, 16*n + 8), folder/f'mutated{suffix}', 0
    while start < n:
        pid = os.fork()
        if not pid:
            warnings.simplefilter('ignore')
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for i in range(start, n):
                shared[:8] = struct.pack('q', i)
                path.write_bytes(mutated(seeds, first + i)[1])
                signal.setitimer(signal.ITIMER_PROF, 2*SECONDS)
                signal.alarm(60*SECONDS)
                clock = time.process_time()
                try:
                    x = read_dicom(path, strict=False) if suffix == '.dcm' and i % 2 else read_radiograph(path)
                    outcome = 1 if x.ndim == 2 and x.dtype in (np.uint8, np.uint16) and x.min() < x.max() else 3
                except RadiographError as e: outcome = 2 if str(e).startswith(str(path)) else 3
                except BaseException: outcome = 3
                took = time.process_time() - clock
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
                shared[8 + 16*i:24 + 16*i] = struct.pack('qff', outcome, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        start = n if status == 0 else struct.unpack('q', shared[:8])[0] + 1
    return [struct.unpack_from('qff', shared, 8 + 16*i) for i in range(n)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('n', type=int, nargs='?', default=20_000, help='files to make')
    p.add_argument('--plain', action='store_true', help='PNG and JPEG instead of DICOM')
    p.add_argument('--first', type=int, default=0, help='number of the first file')
    a = p.parse_args()
    with tempfile.TemporaryDirectory(dir='/dev/shm' if Path('/dev/shm').is_dir() else None) as tmp:
        seeds = (plain_seeds if a.plain else dicom_seeds)(Path(tmp))
        clock = time.time()
        rows = campaign(seeds, a.n, Path(tmp), '' if a.plain else '.dcm', a.first)
    count = collections.Counter(OUTCOMES[o] for o, *_ in rows)
    slow = max(range(a.n), key=lambda i: rows[i][1])
    bad = [i for i, (o, s, m) in enumerate(rows) if o not in (1, 2) or s > SECONDS or m > MEGABYTES]
    print(f'{a.n:,} files from {len(seeds)} seeds in {time.time() - clock:.0f} s: ' + ', '.join(f'{count[o]:,} {o}' for o in OUTCOMES if count[o]))
    print(f'slowest {rows[slow][1]:.2f} s (file {a.first + slow}, {mutated(seeds, a.first + slow)[0]}), peak memory {max(m for *_, m in rows):.0f} MB')
    for i in bad[:20]: print('BAD', a.first + i, mutated(seeds, a.first + i)[0], OUTCOMES[rows[i][0]], f'{rows[i][1]:.2f} s {rows[i][2]:.0f} MB')
    raise SystemExit(bool(bad))


if __name__ == '__main__': main()
