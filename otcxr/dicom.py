
import io, math, re, struct, warnings
from dataclasses import dataclass, field
import numpy as np
from PIL import Image
from otcxr.core import OtcxrError
from otcxr.radiograph import MAX_PIXELS, RadiographError, _check_jpeg, _sniff

class _BoundedReader(io.BytesIO):
    "A file in memory that may be read from a limited number of times: a damaged header can claim a million elements"
    left = 100_000
    def read(self, n=-1):
        self.left -= 1
        if self.left < 0: raise ValueError('its header does not end')
        return super().read(n)

_TAGS = '''SOPClassUID Modality PresentationIntentType BodyPartExamined ViewPosition PatientOrientation PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing
    PixelAspectRatio SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation
    ModalityLUTSequence RescaleSlope RescaleIntercept VOILUTSequence WindowCenter WindowWidth WindowCenterWidthExplanation VOILUTFunction PixelData'''.split()
_DEFLATED = b'1.2.840.10008.1.2.1.99'

def _parse(path, data):  # -> pydicom's Dataset
    "The elements an image is made of; those that name a patient are not read at all. Raises `ValueError`"
    try: import pydicom
    except ImportError: raise ValueError('is a DICOM file; to read it: pip install "otcxr[dicom]"') from None
    if _DEFLATED in data: raise ValueError('is deflated as a whole (transfer syntax 1.2.840.10008.1.2.1.99), which is not supported')
    whole = data[128:132] == b'DICM'
    ds = pydicom.dcmread(_BoundedReader(data), force=not whole, specific_tags=_TAGS)
    if 'PixelData' not in ds: raise ValueError('holds no pixel data' if whole or 'SOPClassUID' in ds else f'is no DICOM file, in spite of its name (it begins with {data[:4]!r})')
    if not whole: warnings.warn(f'{path}: a DICOM file without preamble', stacklevel=4)
    return ds

def _text(ds, name): return str(ds.get(name) or '').strip().upper()

def _integer(ds, name, default=None):
    "The value of an integer element; `ValueError` where it is missing or no integer"
    v = ds.get(name)
    if v is None or v == '': v = default
    if v is None: raise ValueError(f'lacks {name}')
    try: return int(v)
    except (TypeError, ValueError): raise ValueError(f'has a damaged {name}') from None

def _floats(ds, name):
    "The values of an element as floats, [] where there are none"
    v = ds.get(name)
    if v is None or isinstance(v, (str, bytes)): return []
    return [float(f) for f in (v if hasattr(v, '__iter__') else [v]) if f not in (None, '')]

@dataclass(frozen=True)
class Window:
    "One way, offered by a file, to turn its values into grey"
    kind: str  # 'LUT', 'LINEAR', 'LINEAR_EXACT' or 'SIGMOID'
    center: float | None = None  # in units of the values after rescaling
    width: float | None = None
    name: str = ''  # as the maker calls it, e.g. 'NORMAL', 'HARDER'
    lut: tuple | None = field(default=None, repr=False, compare=False)  # (first value mapped, entries in 0..1)

    def __call__(self,
        v: np.ndarray  # values after rescaling
    ) -> np.ndarray:  # grey in 0..1, float64
        "PS3.3, C.11.2"
        if self.kind == 'LUT': return self.lut[1][(np.rint(v) - self.lut[0]).clip(0, len(self.lut[1]) - 1).astype(int)]
        c, w = self.center, self.width
        if self.kind == 'SIGMOID': return 1/(1 + np.exp((-4*(v - c)/w).clip(-700, 700)))
        if self.kind == 'LINEAR': c, w = c - .5, w - 1
        return ((v - c)/w + .5).clip(0, 1) if w > 0 else (v > c).astype(float)

def _lut(item, signed, big):  # -> (first value mapped, entries)
    "A lookup table of a DICOM sequence item. Raises `ValueError`"
    try: n, first, bits = (int(v) for v in item.LUTDescriptor)
    except Exception: raise ValueError('has a damaged lookup table') from None
    data, n = item.get('LUTData'), (n & 0xffff) or 2**16
    if isinstance(data, bytes): data = np.frombuffer(data[:len(data)//2*2] if len(data) >= 2*n else data, ('>u2' if big else '<u2') if len(data) >= 2*n else 'u1')
    data = np.atleast_1d(np.asarray(data if data is not None else [], dtype=np.int64))[:n] & 0xffff
    if len(data) < n or not 1 <= bits <= 16: raise ValueError('has a damaged lookup table')
    if signed and first > 32767: first -= 65536
    return first, data, bits

def _windows(ds, signed, big):
    "Lookup tables first, then windows, in the file's order; what is no window (width 0) is left out"
    found = []
    for item in ds.get('VOILUTSequence') or []:
        first, data, bits = _lut(item, signed, big)
        found.append(Window('LUT', name=str(item.get('LUTExplanation') or '').strip(), lut=(first, (data/(2**bits - 1)).clip(0, 1))))
    names = ds.get('WindowCenterWidthExplanation') or ''
    names = [names] if isinstance(names, str) else list(names)
    kind = _text(ds, 'VOILUTFunction')
    for i, (c, w) in enumerate(zip(_floats(ds, 'WindowCenter'), _floats(ds, 'WindowWidth'))):
        if math.isfinite(c) and math.isfinite(w) and w > 0:
            found.append(Window(kind if kind in ('LINEAR_EXACT', 'SIGMOID') else 'LINEAR', c, w, str(names[i]).strip() if i < len(names) else ''))
    return found

def _spacing(ds):
    "(row, column) spacing in mm and where it was taken from, or (None, '')"
    for name in ('PixelSpacing', 'ImagerPixelSpacing', 'NominalScannedPixelSpacing'):
        v = _floats(ds, name)
        if len(v) == 2 and all(math.isfinite(s) and .001 <= s <= 100 for s in v): return tuple(v), name
    return None, ''

@dataclass
class DicomInfo:
    "What the header of a DICOM file says of its image; nothing of the patient"
    shape: tuple  # (rows, columns) as stored
    bits: int  # stored per value
    signed: bool  # values in two's complement
    samples: int  # 1 grey, 3 colour
    frames: int  # images in the file
    photometric: str  # 'MONOCHROME1' (0 is white), 'MONOCHROME2' (0 is black), ...
    transfer_syntax: str  # name of the encoding
    modality: str  # 'CR', 'DX', ...
    body_part: str  # 'CHEST', ...
    view: str  # 'PA', 'AP', 'LL', ...
    orientation: str  # where the rows and the columns run to: 'L/F' is the usual frontal image
    intent: str  # 'FOR PRESENTATION' or 'FOR PROCESSING'
    spacing: tuple | None  # (row, column) distance of pixels in mm, None where the file does not say
    spacing_from: str  # the element it comes from
    aspect: float  # height of a pixel over its width
    windows: list = field(repr=False)  # each `Window` the file offers; the first is the default

    @property
    def pixel_mm(self): return min(self.spacing) if self.spacing else None  # side in mm of the square pixels that `read_dicom` returns
    @property
    def refused(self):  # why a strict reader refuses the file, or None
        if self.frames != 1: return f'holds {self.frames} frames, a radiograph has one'
        if self.samples != 1 or not self.photometric.startswith('MONOCHROME'): return f'is a colour image ({self.photometric[:20] or "unsaid"})'
        if self.modality not in ('', 'CR', 'DX', 'DR', 'RG', 'XR', 'OT', 'SC'): return f'is no radiograph (modality {self.modality[:16]!r})'
        if self.body_part not in ('', 'UNKNOWN', 'OTHER') and not re.search('CHEST|THORAX|TORAX|LUNG', self.body_part): return f'is no chest image (body part {self.body_part[:16]!r})'
        if self.intent == 'FOR PROCESSING': return 'holds raw detector values (for processing, not for presentation)'

def _describe(ds):  # -> DicomInfo
    "Check and collect. Raises `ValueError`"
    shape = _integer(ds, 'Rows'), _integer(ds, 'Columns')
    if min(shape) < 1: raise ValueError(f'has no pixels ({shape[1]} x {shape[0]})')
    bits, signed, big = _integer(ds, 'BitsStored', _integer(ds, 'BitsAllocated')), _integer(ds, 'PixelRepresentation', 0) == 1, _syntax(ds) == '1.2.840.10008.1.2.2'
    spacing, where = _spacing(ds)
    ratio = spacing or _floats(ds, 'PixelAspectRatio')
    aspect = ratio[0]/ratio[1] if len(ratio) == 2 and all(math.isfinite(r) and r > 0 for r in ratio) else 1.
    orientation = ds.get('PatientOrientation') or ''
    return DicomInfo(shape, bits, signed, _integer(ds, 'SamplesPerPixel', 1), max(1, _integer(ds, 'NumberOfFrames', 1)), _text(ds, 'PhotometricInterpretation'),
        _syntax(ds, name=True), _text(ds, 'Modality'), _text(ds, 'BodyPartExamined'), _text(ds, 'ViewPosition'),
        orientation if isinstance(orientation, str) else '/'.join(map(str, orientation)), _text(ds, 'PresentationIntentType'), spacing, where, aspect, _windows(ds, signed, big))

def _syntax(ds, name=False):
    "The transfer syntax; what a file without one must be: little endian, with VRs or without"
    import pydicom
    uid = getattr(ds, 'file_meta', {}).get('TransferSyntaxUID') or ('1.2.840.10008.1.2' if ds.original_encoding[0] else '1.2.840.10008.1.2.1')
    return pydicom.uid.UID(uid).name if name else str(uid)

def _j2k_head(s):  # a JPEG 2000 codestream -> (bits, rows, columns, components)
    "Size and coding parameters. Raises `ValueError` for those whose decoding costs more than the image could"
    x1, y1, x0, y0, tw, th, tx, ty, n = struct.unpack_from('>8IH', s, 8)
    w, h, depth = x1 - x0, y1 - y0, s[42:42+3*n]
    if min(w, h, tw, th) < 1 or (tiles := (w//tw + 2)*(h//th + 2)) > 10_000: raise ValueError('damaged: the JPEG 2000 stream has an impossible tiling')
    if depth != bytes([depth[0], 1, 1])*n: raise ValueError('the components of the JPEG 2000 stream differ')
    pos = 4 + struct.unpack_from('>H', s, 4)[0]
    while s[pos:pos+2] != b'\xff\x90':  # to the first tile
        kind, size = struct.unpack_from('>HH', s, pos)
        if kind < 0xff4f or size < 2: raise ValueError('damaged: the JPEG 2000 header is broken')
        if kind in (0xff52, 0xff53):  # coding style of all components, of one
            c = s[pos+4:pos+2+size] if kind == 0xff52 else s[pos+5:pos+6] + b'\0\0\1\0' + s[pos+6:pos+2+size]
            layers, levels = struct.unpack_from('>H', c, 2)[0], c[5]
            sizes = c[10:] if c[0] & 1 else bytes([0xff])*(levels + 1)
            if levels > 32 or len(sizes) <= levels: raise ValueError('damaged: the JPEG 2000 stream has impossible coding parameters')
            precincts = sum(((w >> levels - r >> (p & 15)) + 1)*((h >> levels - r >> (p >> 4)) + 1) for r, p in enumerate(sizes[:levels+1]))
            if (precincts + tiles)*layers > 2_000_000: raise ValueError('damaged: the JPEG 2000 stream claims millions of packets')
        pos += 2 + size
    return (depth[0] & 127) + 1, h, w, n

def _jpeg_head(s):  # a JPEG or JPEG-LS stream -> (kind of frame, bits, rows, columns, components)
    "The frame header. Raises `ValueError`"
    pos, head = 2, None
    while s[pos+1] != 0xda:
        if s[pos] != 0xff: raise ValueError('damaged: a JPEG marker is missing')
        kind, size = s[pos+1], struct.unpack_from('>H', s, pos + 2)[0]
        if kind == 0xff: pos += 1; continue
        if 0xc0 <= kind <= 0xcf and kind not in (0xc4, 0xc8, 0xcc) or kind == 0xf7:
            if head: raise ValueError('damaged: two JPEG frame headers')
            head = kind, *struct.unpack_from('>BHHB', s, pos + 4)
        pos += 2 + size
    if head is None: raise ValueError('damaged: the JPEG stream has no frame header')
    return head

def _rle(s, shape, samples, size):  # -> (rows, columns, samples) of `size` bytes each
    "Run-length coding, PS3.5 annex G: one segment a byte of the value, the high byte first"
    n, count = shape[0]*shape[1], struct.unpack_from('<I', s)[0]
    if count != samples*size: raise ValueError(f'damaged: {count} RLE segments instead of {samples*size}')
    starts = [*struct.unpack_from(f'<{count}I', s, 4), len(s)]
    out = np.empty((samples, size, n), np.uint8)
    for i, (a, b) in enumerate(zip(starts, starts[1:])): out[i//size, size - 1 - i % size] = _packbits(s[a:b], n)
    return np.ascontiguousarray(out.transpose(2, 0, 1)).view(f'<u{size}').reshape(*shape, samples)

def _packbits(s, n, codes=10_000_000):  # -> n bytes
    "Undo PackBits, and never write more than `n` bytes and one run, nor follow more than so many codes"
    out, pos = bytearray(), 0
    for _ in range(codes):
        if len(out) >= n: return np.frombuffer(out, np.uint8, n)
        if pos >= len(s): raise ValueError('truncated: an RLE segment ends before the image')
        k = s[pos]
        if k < 128: out += s[pos+1:pos+2+k]; pos += 2 + k
        elif k > 128: out += s[pos+1:pos+2]*(257 - k); pos += 2
        else: raise ValueError('damaged: an RLE segment holds a code without meaning')
    raise ValueError('damaged: the RLE segment makes no progress')

def _expect(head, shape, samples, allocated):
    "The stream must say what the header says: decoders reserve what the stream claims"
    bits, h, w, n = head
    if (h, w) != shape: raise ValueError(f'damaged: the header says {shape[1]} x {shape[0]} pixels, the compressed image {w} x {h}')
    if n != samples or not 2 <= bits <= allocated: raise ValueError(f'damaged: the compressed image has {n} components of {bits} bits, the header {samples} of {allocated}')

def _needs(package, module):
    "A decoder, imported when it is needed"
    import importlib
    try: return importlib.import_module(module)
    except ImportError: raise ValueError(f'needs {package} to be decoded: pip install "otcxr[dicom]"') from None

def _decompress(s, shape, samples, allocated):  # -> (array, bits)
    "One compressed frame; the stream's own first bytes choose the decoder. Raises `ValueError`, or what the decoder raises"
    if s[:12] == b'\0\0\0\x0cjP  \r\n\x87\n' and (at := s.find(b'\xff\x4f\xff\x51')) > 0: s = s[at:]
    if s[:4] == b'\xff\x4f\xff\x51':
        if not s.rstrip(b'\0').endswith(b'\xff\xd9'): raise ValueError('truncated: the JPEG 2000 stream ends before its end marker')
        try: head = _j2k_head(s)
        except (struct.error, IndexError): raise ValueError('truncated: the JPEG 2000 stream ends within its header') from None
        _expect(head, shape, samples, allocated)
        return _needs('pylibjpeg-openjpeg', 'openjpeg').decode(s, 0), head[0]
    if s[:2] != b'\xff\xd8': raise ValueError(f'damaged: the compressed image begins with {s[:4]!r}')
    try: kind, *head = _jpeg_head(s)
    except (struct.error, IndexError): raise ValueError('truncated: the JPEG stream ends within its header') from None
    _expect(head, shape, samples, allocated)
    if kind == 0xf7: return _needs('pyjpegls', 'jpeg_ls').decode(np.frombuffer(s, np.uint8)), head[0]
    _check_jpeg(s)
    if (scans := s.count(b'\xff\xda')) > samples: raise ValueError(f'damaged: the JPEG stream has {scans} scans for {samples} components')
    if kind in (0xc0, 0xc1) and head[0] == 8:
        with Image.open(io.BytesIO(s), formats=['JPEG']) as im: return np.asarray(im.convert('L')), 8
    if kind in (0xc1, 0xc3): return _needs('pylibjpeg-libjpeg', 'libjpeg').decode(s), head[0]
    raise ValueError(f'holds JPEG data of a kind that is not supported (frame {kind:#x})')

_PLAIN = {'1.2.840.10008.1.2': '<', '1.2.840.10008.1.2.1': '<', '1.2.840.10008.1.2.2': '>'}
_COMPRESSED = re.compile(r'1\.2\.840\.10008\.1\.2\.(4\.(50|51|57|70|80|81|90|91)|5)')

def _pixels(ds, info):  # -> (array (rows, columns) or (rows, columns, samples), bits, lowest bit)
    "The first frame, as stored. Raises `ValueError`, or what a decoder raises"
    allocated, uid, data = _integer(ds, 'BitsAllocated'), _syntax(ds), ds.PixelData
    if info.shape[0]*info.shape[1] > MAX_PIXELS: raise ValueError(f'claims {info.shape[1]:,} x {info.shape[0]:,} pixels, more than a radiograph has ({MAX_PIXELS:,})')
    if allocated not in (8, 16) or not 1 <= info.bits <= allocated: raise ValueError(f'has {info.bits} bits in {allocated}; 1 to 16 are supported')
    if info.samples not in (1, 3) or info.samples == 3 and allocated != 8: raise ValueError(f'has {info.samples} samples a pixel of {allocated} bits')
    if not isinstance(data, bytes): raise ValueError('has damaged pixel data')
    if uid in _PLAIN:
        n = info.shape[0]*info.shape[1]*info.samples
        if len(data) < n*allocated//8: raise ValueError(f'truncated: {n*allocated//8:,} bytes of pixels are announced, {len(data):,} are there')
        if info.samples == 3 and info.photometric not in ('RGB', 'YBR_FULL'): raise ValueError(f'has colours of a kind that is not supported ({info.photometric[:20]})')
        x = np.frombuffer(data, f'{_PLAIN[uid]}u{allocated//8}', n)
        x = x.reshape(3, *info.shape).transpose(1, 2, 0) if info.samples == 3 and _integer(ds, 'PlanarConfiguration', 0) == 1 else x.reshape(*info.shape, info.samples)
        return x, info.bits, max(0, min(_integer(ds, 'HighBit', info.bits - 1) + 1 - info.bits, allocated - info.bits))
    if not _COMPRESSED.fullmatch(uid): raise ValueError(f'has an encoding that is not supported ({info.transfer_syntax[:60]})')
    import pydicom
    try: stream = pydicom.encaps.get_frame(data, 0, number_of_frames=info.frames)
    except Exception: raise ValueError('damaged: the chain of compressed fragments is broken') from None
    if uid.endswith('.5'): return _rle(stream, info.shape, info.samples, allocated//8), info.bits, 0
    return *_decompress(stream, info.shape, info.samples, allocated), 0

def _one_channel(x, photometric):  # -> (rows, columns)
    "Luma of a colour image; what comes from a decoder as one channel is left"
    if x.ndim == 3 and x.shape[2] == 3 and photometric.startswith('YBR_FULL'): x = x[..., :1]
    return np.rint(x @ np.float32([.299, .587, .114])).astype(x.dtype) if x.ndim == 3 and x.shape[2] == 3 else x.reshape(x.shape[:2])

def _values(bits, low, signed, size):  # -> float64 (2**(8*size),)
    "The value that each pattern of `size` bytes stands for; bits beside the stored ones (overlays) are dropped"
    v = (np.arange(2**(8*size)) >> low) & (2**bits - 1)
    return (v - (v >> (bits - 1))*2**bits if signed else v).astype(float)

def _modality(ds, v, signed, big):
    "Modality LUT or rescale slope and intercept, PS3.3, C.11.1"
    if items := ds.get('ModalityLUTSequence'):
        first, data, _ = _lut(items[0], signed, big)
        return data[(v - first).clip(0, len(data) - 1).astype(int)].astype(float)
    slope, intercept = [*_floats(ds, 'RescaleSlope'), 1.][0], [*_floats(ds, 'RescaleIntercept'), 0.][0]
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope and abs(slope) < 1e12 and abs(intercept) < 1e12): raise ValueError('has a damaged rescale slope or intercept')
    return v*slope + intercept

def _choose(info, window):  # -> a Window, or None for the whole range
    if window is None: return info.windows[0] if info.windows else None
    if window == 'range': return None
    if isinstance(window, int):
        if not 0 <= window < len(info.windows): raise ValueError(f'offers {len(info.windows)} windows, there is none with number {window}')
        return info.windows[window]
    center, width = window
    return Window('LINEAR_EXACT', float(center), float(width))

def _table(ds, info, bits, low, size, window):  # -> (2**(8*size),) uint8 or uint16
    "The grey value of each stored pattern"
    big = _syntax(ds) == '1.2.840.10008.1.2.2'
    m = _modality(ds, _values(bits, low, info.signed, size), info.signed, big)
    w = _choose(info, window)
    y = w(m) if w else (m - m.min())/max(m.max() - m.min(), 1e-300)
    if info.photometric == 'MONOCHROME1': y = 1 - y
    return np.rint(y*255).astype(np.uint8) if info.bits <= 8 else np.rint(y*65535).astype(np.uint16)

def _square(x, aspect):  # -> the same image with square pixels
    "The coarser direction gets the spacing of the finer one"
    if abs(aspect - 1) < .002: return x
    if not .25 <= aspect <= 4: raise ValueError(f'has pixels {aspect:.3g} times as high as wide')
    h, w = (round(x.shape[0]*max(1, aspect)), round(x.shape[1]*max(1, 1/aspect)))
    if h*w > MAX_PIXELS: raise ValueError(f'has {w:,} x {h:,} pixels when they are made square, more than a radiograph has ({MAX_PIXELS:,})')
    if x.dtype == np.uint8: return np.asarray(Image.fromarray(x).resize((w, h), Image.Resampling.BILINEAR))
    y = np.asarray(Image.fromarray(x.astype(np.float32)).resize((w, h), Image.Resampling.BILINEAR))
    return np.rint(y).astype(np.uint16)

def _guarded(path, data, do, *args):
    "`do(dataset, *args)` on the parsed file; whatever goes wrong becomes a `RadiographError`"
    try: return do(_parse(path, data), *args)
    except Exception as e:
        text = ' '.join(str(e).split())[:200]
        raise RadiographError(path, text if type(e) is ValueError else f'cannot be decoded ({type(e).__name__}: {text})') from None

def _dicom_bytes(path):
    kind, data, _ = _sniff(path)
    if kind != 'dicom': raise RadiographError(path, f'is a {kind.upper()} file, not DICOM')
    return data

def dicom_info(
    path  # a DICOM file
) -> DicomInfo:
    "The header alone, the pixels are not decoded. Raises `RadiographError`"
    return _guarded(path, _dicom_bytes(path), _describe)

def _image(ds, window=None, strict=True):
    "From the parsed file to grey values. Raises `ValueError`, or what a decoder raises"
    info = _describe(ds)
    if strict and info.refused: raise ValueError(f'{info.refused}; read_dicom(..., strict=False) reads it')
    x, bits, low = _pixels(ds, info)
    if x.shape[:2] != info.shape: raise ValueError(f'damaged: {x.shape} pixels were decoded instead of {info.shape}')
    x = _one_channel(x, info.photometric)
    x = x.astype(x.dtype.newbyteorder('='), copy=False).view(f'u{x.dtype.itemsize}')
    x = _table(ds, info, min(bits, 8*x.itemsize), low, x.itemsize, window)[x]
    if x.min() == x.max(): raise ValueError(f"is an image of one grey value ({x.flat[0]} everywhere); window='range' shows what a window may hide")
    return _square(x, info.aspect)

def read_dicom(
    path,  # a DICOM file
    window=None,  # None: the first that the file offers, else the whole range; a number: that one of `dicom_info(path).windows`; (center, width) after rescaling; 'range': the whole range of the stored bits
    strict: bool = True  # refuse files of several frames, in colour, of another part of the body, and raw ones; False: the first frame, as grey, of whatever it is
) -> np.ndarray:  # (H, W) with square pixels, bright where much was absorbed: uint8 where at most 8 bits are stored, else uint16 over its full range
    "Read the image of a DICOM file. Raises `RadiographError`"
    return _guarded(path, _dicom_bytes(path), _image, window, strict)

def _lossless_jpeg(x, bits):  # (H, W) unsigned -> bytes
    "Lossless JPEG (ITU-T T.81, process 14, the left neighbour as the prediction) with one Huffman code of 5 bits for every size of difference"
    x = x.astype(np.int64)
    left = np.empty_like(x)
    left[:, 1:], left[1:, 0], left[0, 0] = x[:, :-1], x[:-1, 0], 2**(bits - 1)
    d = ((x - left + 32768) % 65536 - 32768).ravel()
    size = (np.abs(d)[:, None] >> np.arange(17) > 0).sum(1)  # bits of the difference
    word = np.where(size == 16, 16, size << np.minimum(size, 15) | np.where(d > 0, d, d + (1 << size) - 1))
    length = np.where(size == 16, 5, 5 + size)
    ends = np.cumsum(length)
    stream = np.ones(-(-ends[-1]//8)*8, np.uint8)
    for k in range(length.max()):
        on = length > k
        stream[(ends - length)[on] + k] = word[on] >> length[on] - 1 - k & 1
    def segment(kind, body): return bytes([255, kind]) + struct.pack('>H', len(body) + 2) + body
    return (b'\xff\xd8' + segment(0xc3, struct.pack('>BHHB', bits, *x.shape, 1) + b'\1\x11\0') + segment(0xc4, bytes([0, 0, 0, 0, 0, 17] + [0]*11) + bytes(range(17)))
        + segment(0xda, b'\1\1\0\1\0\0') + np.packbits(stream).tobytes().replace(b'\xff', b'\xff\0') + b'\xff\xd9')

ENCODINGS = {'implicit': '1.2.840.10008.1.2', 'explicit': '1.2.840.10008.1.2.1', 'big endian': '1.2.840.10008.1.2.2', 'JPEG': '1.2.840.10008.1.2.4.50', 'JPEG lossless': '1.2.840.10008.1.2.4.70',
             'JPEG-LS': '1.2.840.10008.1.2.4.80', 'JPEG 2000': '1.2.840.10008.1.2.4.90', 'RLE': '1.2.840.10008.1.2.5'}

def write_dicom(
    path,  # of the file to write
    x: np.ndarray,  # (H, W) uint8, uint16 or int16; or (H, W, 3) uint8
    encoding='explicit',  # one of `ENCODINGS`; 'JPEG' (8 bits) alone loses something
    bits: int | None = None,  # stored bits; all of the type by default
    **elements  # further DICOM elements by keyword, e.g. WindowCenter=2000, PhotometricInterpretation='MONOCHROME1'
):
    "Write an image as a DICOM file without a patient: for tests, and for trying a pipeline on the phantom. Raises `OtcxrError` for an unknown encoding"
    import pydicom
    from pydicom.encaps import encapsulate
    if encoding not in ENCODINGS: raise OtcxrError(f"no encoding {encoding!r}; there are {', '.join(ENCODINGS)}")
    ds, bits, plain = pydicom.Dataset(), bits or 8*x.itemsize, encoding in ('implicit', 'explicit', 'big endian')
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ENCODINGS[encoding if plain or encoding in ('JPEG', 'JPEG lossless') else 'explicit']
    ds.SOPClassUID, ds.SOPInstanceUID = '1.2.840.10008.5.1.4.1.1.1', pydicom.uid.generate_uid(entropy_srcs=[str(path)])
    ds.Modality, ds.BodyPartExamined = 'CR', 'CHEST'
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (1, 'MONOCHROME2') if x.ndim == 2 else (3, 'RGB')
    if x.ndim == 3: ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = x.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8*x.itemsize, bits, bits - 1, int(x.dtype.kind == 'i')
    for name, value in elements.items(): setattr(ds, name, value)
    if encoding == 'JPEG':
        Image.fromarray(x).save(f := io.BytesIO(), 'JPEG', quality=95)
        ds.PixelData = encapsulate([f.getvalue()])
    elif encoding == 'JPEG lossless': ds.PixelData = encapsulate([_lossless_jpeg(x.view(f'u{x.itemsize}') & 2**bits - 1, bits)])
    else: ds.PixelData = x.astype(x.dtype.newbyteorder('>' if encoding == 'big endian' else '<')).tobytes()
    ds['PixelData'].VR = 'OB' if not plain or x.itemsize == 1 else 'OW'
    if encoding in ('JPEG-LS', 'JPEG 2000', 'RLE'): ds.compress(ENCODINGS[encoding])
    ds.save_as(path, enforce_file_format=True)
