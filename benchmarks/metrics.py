"The patient-cluster bootstrap at the size of NIH's official test part, and its agreement with scikit-learn on the resampled rows."
import time

import numpy as np

from otcxr.metrics import auprc, auroc, bootstrap_draws, cluster_bootstrap

PATIENTS, IMAGES, MOST = 2_797, 25_596, 184 # of the official test part; MOST: images of one patient
POSITIVES = (3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86) # of the 14 findings there, in the order of NIH_FINDINGS


def like_nih(seed=0):
    "Labels (n, 14), scores (n, 14) and patients (n,) as many and as clustered as in NIH's test part: a few patients have most images, and images of one patient resemble each other in labels and scores; the scores have ties"
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 2, PATIENTS)
    for _ in range(50): share = np.minimum(share/share.sum(), (MOST - 1)/(IMAGES - PATIENTS))
    extra = np.floor(share/share.sum()*(IMAGES - PATIENTS)).astype(int)
    extra[rng.choice(np.flatnonzero(extra < MOST - 1), IMAGES - PATIENTS - extra.sum(), replace=False)] += 1
    patient = np.repeat(np.arange(PATIENTS), 1 + extra)
    own = rng.standard_normal((2, PATIENTS, len(POSITIVES)))[:, patient]
    tendency = 1.5*own[0] + rng.standard_normal(own[0].shape)
    y = (tendency.argsort(0).argsort(0) >= IMAGES - np.array(POSITIVES)).astype(float)
    return y, np.round(y + own[1] + rng.standard_normal(y.shape), 3), patient


def by_hand(y, p, patient, resamples, seed):
    "(AUROC, AUPRC) (2, resamples, F) by scikit-learn: every image repeated as often as its patient was drawn"
    from sklearn.metrics import average_precision_score, roc_auc_score
    rng, P = np.random.default_rng(seed), patient.max() + 1
    out = []
    for _ in range(resamples):
        w = np.bincount(rng.integers(P, size=P), minlength=P)[patient]
        yy, pp = np.repeat(y, w, axis=0), np.repeat(p, w, axis=0)
        out.append([[f(a, b) for a, b in zip(yy.T, pp.T)] for f in (roc_auc_score, average_precision_score)])
    return np.moveaxis(np.array(out), 1, 0)


def rows(quick=False):
    "Speed of 2,000 resamples, both metrics, by processor time: one thread, so the time on a free core; differences on the first resamples and on all images"
    from sklearn.metrics import average_precision_score, roc_auc_score
    y, p, patient = like_nih()
    n, few = (100, 1) if quick else (2000, 3)
    clock = lambda: np.array([time.perf_counter(), time.process_time()])
    start = clock()
    cluster_bootstrap(y, p, patient, n=n)
    ours, start = clock() - start, clock()
    reference = by_hand(y, p, patient, few, seed=0)
    theirs = (clock() - start)*n/few
    size = f'{n:,} resamples of {IMAGES:,} images x {len(POSITIVES)} findings'
    against = f'scikit-learn {theirs[1]:.0f} s, from {few}'
    yield dict(what=f'{size}: seconds', ours=f'{ours[0]:.1f} s, CPU {ours[1]:.1f}', against=against, ratio=ours[1], target='< 30 CPU', holds=ours[1] < 30)
    yield dict(what=f'{size}: times faster', ours=f'CPU {ours[1]:.1f} s', against=against, ratio=theirs[1]/ours[1], target='>= 20', holds=theirs[1] >= 20*ours[1])
    draws = bootstrap_draws(y, p, patient, n=few, seed=0)
    exact = [[f(a, b) for a, b in zip(y.T, p.T)] for f in (roc_auc_score, average_precision_score)]
    for k, (metric, f) in enumerate((('auroc', auroc), ('auprc', auprc))):
        far = max(np.abs(draws[metric] - reference[k]).max(), np.abs(f(y, p) - exact[k]).max())
        yield dict(what=f"{metric.upper()} against scikit-learn's, all images and {few} resamples, with ties", ours=f'{far:.1e}', against='', ratio=far, target='<= 1e-12', holds=far <= 1e-12)


if __name__ == '__main__':
    for row in rows(): print(row)
