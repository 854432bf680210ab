"How many DICOM files of a detector's size a core turns into images of a cache in an hour, and how much of that is the decoder's own work."
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from otcxr.cache import load_one
from otcxr.dicom import write_dicom
from otcxr.phantom import make_phantom

KINDS = (('explicit', 12), ('explicit', 16), ('JPEG', 8), ('JPEG-LS', 12), ('RLE', 12), ('JPEG lossless', 12), ('JPEG 2000', 12)) # encoding, bits
HOURLY = 20_000 # images an hour and core


def film(bits, shape=(2500, 2000), seed=0):
    "A phantom's film in the size of a detector, with its noise: 0.1 % of the range, as a lossless coder must store it."
    x = Image.fromarray(make_phantom(n=1, size=256, seed=seed, progress=False).images[0]).resize(shape[::-1], Image.Resampling.BICUBIC)
    noisy = np.asarray(x)/255*.8 + .1 + np.random.default_rng(seed).normal(0, .001, shape)
    return np.rint(noisy.clip(0, 1)*(2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def rows(quick=False):
    "Processor time of one file from the disk to a square of 128 px: decoding, rescaling, windowing, down-sampling, hashing; medians."
    out = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for encoding, bits in KINDS:
            path, took = Path(folder)/'film.dcm', []
            write_dicom(path, film(bits, (500, 400) if quick else (2500, 2000)), encoding, bits, WindowCenter=2**(bits - 1), WindowWidth=2**bits)
            for i in range(3 if quick else 8):
                start = time.process_time()
                arrays, shape, _ = load_one(path, {}, 128, 'frame', (.5, 99.5))
                if shape is None: raise ValueError(arrays)
                if i: took.append(time.process_time() - start)
            hourly = 3600/statistics.median(took)
            out.append(dict(what=f'data cache, DICOM {bits} bits, {encoding}, {shape[1]} x {shape[0]}: images an hour and core', ours=f'{hourly:,.0f}',
                            against=f'{path.stat().st_size/1e6:.1f} MB, {1000*statistics.median(took):.0f} ms', ratio=hourly, target=f'>= {HOURLY}', holds=hourly >= HOURLY))
    return out


if __name__ == '__main__':
    for row in rows(): print(row)
