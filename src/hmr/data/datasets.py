"""The datasets that the project knows: one row each, looked up by name.

A row makes a name known to configurations, to `make tfrecords` and to `python -m tfrecords_tools`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A dataset of records.

    Attributes:
        name: its name in configurations, and of the folder that holds its records.
        converter: the module of `tfrecords_tools` that makes the records; the same word is the
            flag of `python -m tfrecords_tools` and, in capitals, the variable of `make tfrecords`.
        original: glob pattern, relative to the records' root, of the same data in the authors'
            release; "" where the release has none of its own.
    """

    name: str
    converter: str
    original: str = ""


_ALL = (
    Dataset("lsp", "lsp"),
    Dataset("lsp_ext", "lsp_ext"),
    Dataset("mpii", "mpii"),
    Dataset("coco", "coco"),
    Dataset("h36m", "h36m", "tf_records_human36m_wjoints/{split}/*.tfrecord"),
    Dataset("mpi_inf_3dhp", "mpi_inf_3dhp"),
    Dataset("3dpw", "pw3d"),
    Dataset("mocap_cmu", "amass", "mocap_neutrMosh/neutrSMPL_CMU_*.tfrecord"),
    Dataset("mocap_posePrior", "amass", "mocap_neutrMosh/neutrSMPL_jointLim_*.tfrecord"),
    Dataset("mocap_h36m_mosh", "neutrmosh", "mocap_neutrMosh/neutrSMPL_H3.6_*.tfrecord"),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}
CONVERTERS = tuple(dict.fromkeys(dataset.converter for dataset in _ALL))
