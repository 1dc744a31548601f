"""A zoo of image files, of two halves, LEFT and RIGHT: each with what should come of it."""

import base64
import io
import struct
import zlib

import numpy as np
from PIL import Image

LEFT, RIGHT = (200, 30, 20), (10, 60, 220)
GREY = (90, 160)  # of the two halves of those without colour
WHITE = (255, 255, 255)

# 32x32, by libjpeg: what Pillow cannot write. Arithmetic coding; YCCK as Adobe stores it; CMYK
# that is not inverted, without Adobe's marker; RGB stored without a transform.
ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV00IF40RaI50RaI50s;a81OoyB0s;jD1Oo&H1qKEN1qKEN2MGuU2MGrT1"
    "_%oX2?`1d3JL}Y3k(Yi3<(Mf3jf;xLjeK;0s;a81p@;G3I_%U3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3J"
    "MAe3JMAe3JMAe3JMAe3JMAe3JU+p01*fPAOIi(0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0Nd"
    "|UwEVy*$FiEw>hb)XvaqroxBuA"
)
YCCK = base64.b85decode(
    "|JeWT01iQ9Z(?NtWB>pF00RHp07C!*0RaI40RjO50RjR70s;gB0s;a81q1{G1O^2L1_lKN1_lQS2nGiU2L=WR3"
    "kV4c3JMAe1_%ob3knPg3JMDU+W<oW0s;a80s;jC0|g2P1_ufX3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3J"
    "MAe3JMAe3JMAe3JMAe3JMAe|G)qg2ml}eAOry-00I#K0}%lPA^`uy03QGV0R;g80RaI400000000000RjUA1qK"
    "HQ2?`7U!~nGr00IF60|EpC1qB2I0004f0RjU61Q7)iAu&M)6H#FYB5@QlfsvsIBSNvk6;jdgBr{@if(Z&17Z@2"
    "DB_<~*DJnEIHa9pqIzvQ7Mn_0VN>fx-R##YAT4Q8oW@l(=YIAgTc6WGrdV_?8hKGoWijtF*m6n&7nVO=bq@|{("
    "sHv*5v$VCgx45~w!o$SH#>dFX%F@%+)z;V8+1laa<K*S$=jiF`@$&QZ_4fDp`TGCF03QJW0|5a60RaI40RaF20"
    "00000RjUA1qKHQ2?`7U!~nGs00IF51Ox*F2L%KK009Db009C65d;MxF$NMrQ3qjh6CyH!2oyq*p|QaUBQsL)6="
    "HJH3Kk?Z;U)1G7#SKSCnzZ@H8wXmIXXi`MMg(RNlH^xRaRG6Sz2RcWoBn+X=-zHb#`}nd3u6_goTEOh>41lla!"
    "T~mzbHFqNAjxrl+W>s<N}RwYImoxw^u`#Kp$P$jQpm)6~`0*Vx(G;^XAy=I7|?>hkmS_4fDp`TGCb01gBJ00I#"
    "M5d;7LKLGmjiYTw>gZ!sIe<-4g^hzkAzrl0;@CqoRyzYu9ulJz;00Y8`D6d4KiYxpVKi>eNiYx!w"
)
PLAIN_CMYK = base64.b85decode(
    "|JeWA07C!*0RaI40RjO50RjR70s;gB0s;a81q1{G1O^2L1_lKN1_lQS2nGiU2L=WR3kV4c3JMAe1_%ob3knPg3"
    "JMDUzyK5o03ZM$1Va%3O%VWD5dcdO0RO}Q9{>OW1pxs80RaI300000000010s{mE1_uZU3Jd?l0JRVR0s#X90t"
    "5pE1q1{D00Dgg0s{a95d{(<F+m0sQDFxnaTGFvk)a49Lb1UWQqk}vGh%Xr2?`b$7#SKRCMPH<Dl|1VH#j*uLqt"
    "VJM@UIZQ&d$}S6EqEV`OD!XJ~0^b98lfcX)YvgM@{Khlq)al9QB`mY0~BnxdnmrKYE-sj9NGw6(UkxVgH*!^Fk"
    "L$H>Xb($mz{*4NnC+Tr5k<mKk)=;`Y5^7Hid_V@Vt`v2Mh4g^C0O#oQ{O8@{r0Q}pp*h>AZujl@XD5Afwitu{="
    "H|U~@D6ixmz2d*J3MitAEBg4a2e0FPiYTIr{z2>BEBhd#iYTJLuZr+`{x|5NiYTw-9=+nfvI;1oiYxl~uLrN=e"
    "u^lfivQU"
)
RGB_JPEG = base64.b85decode(
    "|JeWT01iQ9Z(?NtWB>pF0095n07C!*0RaI40RjO50RjR70s;gB0s;a81q1{G1O^2L1_lKN1_lQS2nGiU2L=WR3"
    "kV4c3JMAe1_%ob3knPg3JMDUzyJ{l03ZM$15yzHM-c!*5di<h03QGV0R;g80RaI400000000000RjUA1qKHQ2?"
    "`7U!~nGr00IF60|EpC1qB2I0004f0RjU61Q7)iAu&M)6H#FYB5@QlfsvsIBSNvk6;jdgBr{@if(Z&17Z@2DB_<"
    "~*DJnEIHa9pqIzvQ7Mn_0VN>fx-R##YAT4Q8oW@l(=YIAgTc6WGrdV_?8hKGoWijtF*m6n&7nVO=bq@|{(sHv*"
    "5v$VCgx45~w!o$SH#>dFX%F@%+)z;V8+1laa<K*S$=jiF`@$&QZ_4fDp`TGCb01N|C07n2q002J#{UEQ$di+nK"
    "iYxgCuXwNQf{G}w>*Bl~zm57RqQ8)O_lo|=D58q~zAM4&_}`+6EBObnc(3e&iYTw^;=CTejru5}zmR(OivGwbq"
    "Kg07"
)


def halves(width: int = 300, height: int = 300) -> Image.Image:
    """Return the picture."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2] = LEFT
    pixels[:, width // 2 :] = RIGHT
    return Image.fromarray(pixels)


def grey_halves() -> Image.Image:
    """Return a picture without colour, the halves of GREY."""
    pixels = np.full((300, 300), GREY[1], np.uint8)
    pixels[:, :150] = GREY[0]
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """Return a file of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RGB, GREY_LEVELS = 2, 0  # colour types


def png(
    width: int, height: int, depth: int, rows: bytes, colours: int = RGB, clear: bytes = b""
) -> bytes:
    """Return a PNG with this header, whatever the rows; `clear` is its transparent colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    data = chunk(b"tRNS", clear) if clear else b""
    data += chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def deep_png(*, clear: bool = False) -> bytes:
    """Return 16-bit RGB, its left half perhaps clear."""
    pixels = np.asarray(halves()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png(300, 300, 16, rows, clear=pixels[0, 0].tobytes() if clear else b"")


def clear_deep_grey_png() -> bytes:
    """Return 16-bit grey, its left half clear."""
    levels = np.asarray(grey_halves()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    return png(300, 300, 16, rows, GREY_LEVELS, levels[0, 0].tobytes())


def clear_two_bit_png() -> bytes:
    """Return grey of 2 bits, 1 on the left, which is clear, and 2 on the right."""
    row = b"\0" + bytes([0b01010101] * 38 + [0b10101010] * 37)
    return png(300, 300, 2, row * 300, GREY_LEVELS, b"\0\x01")


def turned(orientation: int) -> bytes:
    """Return a picture that EXIF's orientation makes upright: 3 (by 180) or 6 (by 90)."""
    stored = halves().transpose(
        {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored, "JPEG", quality=95, exif=exif)


def transparent() -> Image.Image:
    """Return RGBA whose left half is clear."""
    rgba = halves().convert("RGBA")
    rgba.putalpha(
        Image.fromarray(
            np.where(np.arange(300) < 150, 0, 255).astype(np.uint8)[None].repeat(300, 0)
        )
    )
    return rgba


def huge_jpeg() -> bytes:
    """Return a JPEG whose header says 20,000x20,000, with next to nothing in it."""
    data = bytearray(encoded(halves(), "JPEG"))
    place = data.index(b"\xff\xc0") + 5  # start of frame: marker, length, depth, then the size
    data[place : place + 4] = struct.pack(">HH", 20_000, 20_000)
    return bytes(data)


def good() -> dict[str, tuple[bytes, tuple, tuple, set[str]]]:
    """Return file -> (content, left, right, image issues) of those that come out right."""
    jpeg = encoded(halves(), "JPEG", quality=95)
    palette = halves().quantize(2)
    clear = palette.getpixel((0, 0))
    two = Image.fromarray(np.asarray(grey_halves()) > 100)
    grey = tuple((g,) * 3 for g in GREY)
    small = "smaller than 256"
    frames = [halves().quantize(4), Image.new("P", (300, 300))]
    return {
        "plain.jpg": (jpeg, LEFT, RIGHT, set()),
        "progressive.jpg": (
            encoded(halves(), "JPEG", quality=95, progressive=True),
            LEFT,
            RIGHT,
            set(),
        ),
        "arithmetic.jpg": (ARITHMETIC, LEFT, RIGHT, {small}),
        "ycck.jpg": (YCCK, LEFT, RIGHT, {"YCCK", small}),
        "cmyk not inverted.jpg": (PLAIN_CMYK, LEFT, RIGHT, {"CMYK", small}),
        "cmyk of adobe.jpg": (
            encoded(halves().convert("CMYK"), "JPEG", quality=95),
            LEFT,
            RIGHT,
            {"CMYK"},
        ),
        "cmyk.tif": (encoded(halves().convert("CMYK"), "TIFF"), LEFT, RIGHT, {"CMYK"}),
        "rgb.jpg": (RGB_JPEG, LEFT, RIGHT, {small}),
        "grey.jpg": (encoded(grey_halves(), "JPEG", quality=95), *grey, {"grey"}),
        "two-level.png": (encoded(two, "PNG"), (0, 0, 0), WHITE, {"two-level"}),
        "16-bit grey.png": (
            encoded(Image.fromarray(np.asarray(grey_halves()).astype(np.uint16) * 257), "PNG"),
            *grey,
            {"16-bit"},
        ),
        "16-bit colour.png": (deep_png(), LEFT, RIGHT, {"16-bit"}),
        "clear 16-bit colour.png": (
            deep_png(clear=True),
            WHITE,
            RIGHT,
            {"16-bit", "transparent"},
        ),
        "clear 16-bit grey.png": (
            clear_deep_grey_png(),
            WHITE,
            grey[1],
            {"16-bit", "transparent"},
        ),
        "clear 2-bit grey.png": (
            clear_two_bit_png(),
            WHITE,
            (170, 170, 170),
            {"grey", "transparent"},
        ),
        "palette.png": (encoded(palette, "PNG"), LEFT, RIGHT, {"palette"}),
        "clear palette.png": (
            encoded(palette, "PNG", transparency=clear),
            WHITE,
            RIGHT,
            {"palette", "transparent"},
        ),
        "clear.webp": (
            encoded(transparent(), "WEBP", lossless=True),
            WHITE,
            RIGHT,
            {"transparent"},
        ),
        "animated.gif": (
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            LEFT,
            RIGHT,
            {"palette", "several frames"},
        ),
        "1x1.png": (encoded(Image.new("RGB", (1, 1), LEFT), "PNG"), LEFT, LEFT, {small}),
        "1x5000.png": (encoded(Image.new("RGB", (1, 5000), RIGHT), "PNG"), RIGHT, RIGHT, {small}),
        "5000x1.jpg": (
            encoded(Image.new("RGB", (5000, 1), RIGHT), "JPEG", quality=95),
            RIGHT,
            RIGHT,
            {small},
        ),
        "png.JPEG": (encoded(halves(), "PNG"), LEFT, RIGHT, {"other format"}),
        "bmp.jpg": (encoded(halves(), "BMP"), LEFT, RIGHT, {"other format"}),
        "turned 3.jpg": (turned(3), LEFT, RIGHT, {"turned by EXIF"}),
        "turned 6.jpg": (turned(6), LEFT, RIGHT, {"turned by EXIF"}),
        "profile.jpg": (
            encoded(halves(), "JPEG", quality=95, icc_profile=b"Adobe RGB"),
            LEFT,
            RIGHT,
            {"ICC profile"},
        ),
        "srgb.jpg": (
            encoded(halves(), "JPEG", quality=95, icc_profile=b"an sRGB profile"),
            LEFT,
            RIGHT,
            set(),
        ),
        "na\u00efve \u8336 \U0001f600.jpg": (jpeg + b"1", LEFT, RIGHT, set()),
        "not utf-8 \udcff.jpg": (jpeg + b"2", LEFT, RIGHT, set()),
    }


def bad() -> dict[str, tuple[bytes, str]]:
    """Return file -> (content, reason) of those that cannot come out right."""
    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    jpeg, whole = encoded(noisy, "JPEG"), encoded(noisy, "PNG")
    cut = {
        f"cut at {tenth}0 %.{kind}": (
            data[: len(data) * tenth // 10],
            "truncated|damaged|not an image",
        )
        for tenth in range(1, 10)
        for kind, data in (("jpg", jpeg), ("png", whole))
    }
    return cut | {
        "without end marker.jpg": (jpeg[:-2], "truncated"),
        "empty.jpg": (b"", "the file is empty"),
        "page.jpg": (b"<!DOCTYPE html><html><body>Not found</body></html>", "not an image"),
        "huge.png": (png(20_000, 20_000, 8, bytes(1000)), "decompression bomb"),
        "large.png": (png(10_000, 10_000, 8, bytes(1000)), "more than 89478485 pixels"),
        "huge.jpg": (huge_jpeg(), "truncated|decompression bomb"),
        "no size.png": (png(0, 0, 8, b""), "not an image|damaged"),
        "random.jpg": (rng.bytes(5000), "not an image"),
        "text.png": (whole[:8] + b"and then nothing of a PNG", "truncated"),
        "float.tif": (encoded(Image.new("F", (300, 300)), "TIFF"), "floating-point"),
    }
