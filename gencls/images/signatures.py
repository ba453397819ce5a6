"""File types by signature, for error messages; nothing is decoded."""

from __future__ import annotations

import re

__all__ = ["ADVICE", "PREFIX", "kind_of"]

PREFIX = 512  # bytes to inspect

GIT_LFS, ZIP, GZIP = "pointer of Git LFS", "ZIP archive", "gzip archive"
HTML, XML, JSON = "HTML page", "XML document", "JSON document"  # servers send these instead of a file
BOX = rb".{4}ftyp"  # start of the ISO base media format
SIGNATURES = (  # the first match applies
    ("BMP", rb"BM.{4}\0{4}"),
    ("GIF", rb"GIF8[79]a"),
    ("JPEG", rb"\xff\xd8\xff"),
    ("JPEG2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("XV thumbnail", rb"P7 332"),
    ("PPM", rb"P[1-7Ff]\s"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("WEBP", rb"RIFF.{4}WEBP"),
    ("HEIC", BOX + rb"(hei[cmsx]|hev[cx]|(mif1|msf1).{4}(.{4}){0,8}hei[cmsx])"),
    ("AVIF", BOX + rb"(avi[fs]|mif1|msf1)"),
    ("CR3 raw photograph", BOX + rb"crx "),
    ("video", BOX + rb"|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xba\xb3]"),
    ("BLP", rb"BLP[12]"),
    ("BUFR", rb"BUFR"),
    ("CUR", rb"\0\0\x02\0[^\0]\0"),
    ("DCX", rb"\xb1\x68\xde\x3a"),
    ("DDS", rb"DDS "),
    ("DICOM", rb".{128}DICM"),
    ("EPS", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("FITS", rb"SIMPLE  ="),
    ("FTEX", rb"FTEX|FTU\0"),
    ("GRIB", rb"GRIB"),
    ("HDF5", rb"\x89HDF\r\n\x1a\n"),
    (HTML, rb"(?i)\s*<(!doctype html|html|head|body)"),
    ("IM", rb"Image type:"),
    ("ICNS", rb"icns"),
    ("ICO", rb"\0\0\x01\0[^\0]\0"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG XR", rb"II\xbc\x01"),
    ("MSP", rb"DanM|LinS"),
    ("NumPy", rb"\x93NUMPY"),
    ("OpenEXR", rb"v/1\x01"),
    ("PCX", rb"\x0a[\0\x02\x03\x05]\x01[\x01\x02\x04\x08]"),
    ("PDF", rb"%PDF"),
    ("PSD", rb"8BPS"),
    ("QOI", rb"qoif"),
    ("Radiance HDR", rb"#\?R(ADIANCE|GBE)"),
    ("SGI", rb"\x01\xda[\0\x01][\x01\x02]"),
    ("SVG", rb"\s*(<\?xml|<!--).*<svg|\s*<svg"),
    (XML, rb"\s*<\?xml"),
    (JSON, rb"\s*\{\s*\""),
    ("SUN", rb"\x59\xa6\x6a\x95"),
    ("WMF", rb"\xd7\xcd\xc6\x9a"),
    ("XBM", rb"\s*#define"),
    ("XCF", rb"gimp xcf"),
    ("XPM", rb"/\* XPM \*/"),
    (GIT_LFS, rb"version https://git-lfs"),
    (ZIP, rb"PK\x03\x04"),
    (GZIP, rb"\x1f\x8b"),
)
ADVICE = {  # for files that are not images
    GIT_LFS: "Run: git lfs pull",
    HTML: "Download the image itself, or remove the file",
    XML: "Download the image itself, or remove the file",
    JSON: "Download the image itself, or remove the file",
    ZIP: "Unpack it, or remove it",
    GZIP: "Unpack it, or remove it",
}
PATTERNS = tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in SIGNATURES)


def kind_of(content: bytes) -> str | None:
    """Return the type of a file.

    Parameters
    ----------
    content : bytes
        At least the first `PREFIX` bytes of the file, or all.

    Returns
    -------
    str or None
        The name of a format, such as "TIFF" or "HEIC"; None if no signature matches.
    """
    return next((kind for kind, pattern in PATTERNS if pattern.match(content)), None)
