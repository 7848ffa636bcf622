"""Packaging of HMR for TensorFlow 2: `pip install -e .`, or `make install` for pinned versions."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Folders of models/ that may be passed on; a user's own files lie beside them and stay there.
SHIPPED = ("demo_standin", "encoders", "finder", "people_free")

# A public home of the code is a row here: "Source": "https://...".
URLS = {
    "Paper": "https://arxiv.org/abs/1712.06584",
    "Original code": "https://github.com/akanazawa/hmr",
}

CORE = [
    "absl-py>=2.1",
    "google-crc32c>=1.6",
    "h5py>=3.11",
    "keras>=3.10",
    "ml-collections>=1.0",
    "numba>=0.61",
    "numpy>=2.0",
    "opencv-python-headless>=4.10.0.84",
    "pillow>=10.3",
    "scipy>=1.13",
    "tensorflow>=2.20",
    "tqdm>=4.66",
]

EXTRAS = {
    "data": ["cdflib>=1.3", "pycocotools>=2.0.8"],
    "heic": ["pillow-heif>=0.16"],
    "watch": ["tensorboard>=2.20"],
    "serving": ["tensorflow-serving-api>=2.19"],
    # backports.strenum 1.3 refuses Python 3.11 and later, which only pip looks at.
    "tflite": ["ai-edge-litert>=2.0", "backports.strenum<1.3"],
    "onnx": ["onnx>=1.18", "onnxruntime>=1.22", "tf2onnx>=1.17"],
    "web": ["gradio>=6.14", "gradio-image-annotation>=0.5.6"],
    "beam": ["apache-beam[dask]>=2.65", "google-crc32c>=1.6"],
    "docs": ["furo>=2024.8.6", "myst-nb>=1.3", "sphinx>=8.2"],
    "gpu": ["tensorflow[and-cuda]>=2.20; sys_platform == 'linux'"],
    # Independent implementations that tests compare with, where they are installed.
    "oracles": ["smplx>=0.1.28", "torch>=2.5"],
    "dev": [
        "hypothesis>=6.100",
        "ipykernel>=6.29",
        "jax>=0.6",
        "mypy>=1.15",
        "nbclient>=0.10",
        "playwright>=1.50",
        "pre-commit>=4.0",
        "pytest>=8.2",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.12",
        "setuptools>=77",
        "trimesh>=4.4",
    ],
}

setup(
    name="hmr-tf2",
    version=runpy.run_path(str(ROOT / "src/hmr/version.py"))["VERSION"],
    description="End-to-end Recovery of Human Shape and Pose (HMR, CVPR 2018) in Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    package_dir={"": "src", "tfrecords_tools": "tfrecords_tools", "hmr.models": "models"},
    packages=[
        *find_packages("src"),
        *find_packages(include=["tfrecords_tools", "tfrecords_tools.*"]),
        "hmr.models",
    ],
    package_data={
        "hmr.evaluation": ["report.html"],
        "hmr.models": ["README.md", *(f"{name}/*" for name in SHIPPED)],
        "hmr.prediction.writers": ["page.html", "motion.html"],
        "hmr.web": ["page.css", "samples/*.jpg"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["hmr = hmr.cli.__main__:main"]},
    project_urls=URLS,
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
