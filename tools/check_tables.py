"Do all committed tables and figures of a profile come from one commit and one version of it?  usage: check_tables.py [PROFILE ...]"
import sys
from pathlib import Path

from otcxr.core import OtcxrError
from otcxr.reproduce import check_origins

ROOT = Path(__file__).resolve().parent.parent

def main(names):
    "Exit status: 0 where each profile's artefacts agree"
    names, bad = names or [p.stem for p in sorted((ROOT/'nbs'/'paper'/'profiles').glob('*.yaml'))], 0
    for name in names:
        try: print(f'{name}: {check_origins(name)} tables and figures, of one commit and one version of the profile')
        except OtcxrError as e:
            print(e)
            bad = 1
    return bad

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
