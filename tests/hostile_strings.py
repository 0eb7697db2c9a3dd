"""Bytes that break tokenisers: white space, controls, broken UTF-8, scripts, marks, look-alikes, and length."""

from __future__ import annotations

import unicodedata

_SPACES = [chr(c) for c in range(0x3001) if chr(c).isspace()] + list("\u200b\ufeff\u2581")
_SPACE_PLACES = ["{0}", "{0}{0}", "{0}good", "good{0}", "good{0}film", "good{0} {0}film", " {0} good film {0} "]

_CONTROLS = [chr(c) for c in [*range(0x20), 0x7F, *range(0x80, 0xA0, 3)] if not chr(c).isspace()]

_BROKEN_UTF8 = [
    b"\x80",  # a continuation alone
    b"\xbf\xbf\xbf",
    b"\xc0\x80",  # NUL, overlong
    b"\xc1\xbf",
    b"\xc3",  # cut short
    b"\xe2\x96",
    b"\xe2\x96\xe2\x96\x81",
    b"\xe0\x80\x80",  # overlong
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",  # lone high surrogate
    b"\xed\xbf\xbf",  # lone low surrogate
    b"\xed\xa0\xbd\xed\xb8\x80",  # CESU-8 pair
    b"\xf0\x9f\x98",
    b"\xf0\x9f",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xff\xfe\xff\xfe",
    b"\xef\xbb",  # half a byte order mark
    b"\xef\xbf",
    b"\xef\xbf\xbd",  # U+FFFD itself
    b"\xef\xbf\xbe",  # a noncharacter
    "größe".encode("latin-1"),
    "电影".encode("gb18030"),
    "good".encode("utf-16"),
]
_BROKEN_PLACES = [(b"", b""), (b"good ", b" film"), (b"go", b"od")]

_SCRIPTS = """
שלום עולם
مرحبا بالعالم، كيف حالك؟
سَلَامٌ
हिन्दी में एक वाक्य है।
ภาษาไทยไม่มีช่องว่าง
한국어 문장입니다.
ㅎㅏㄴㄱㅡㄹ
日本語の文章です。カタカナ、ひらがな。
ﾊﾝｶｸｶﾀｶﾅ ｶﾞｷﾞｸﾞ
这家酒店很好,下次还来!
這家酒店很好，下次還來！
Ελληνικά ΑΣΣ ς
Привет, мир! ЁЖИК
Türkçe İstanbul ıI
straße STRASSE ẞ
ﬁne ﬂow oﬃce ﬅ
Ǆ ǅ ǆ ǈ
ᏣᎳᎩ ꭰ
ქართული ᲥᲐᲠᲗᲣᲚᲘ
አማርኛ ፩
𐍈𐌰𐌹𐍂 𝔊𝔬𝔱𝔥𝔦𝔠 𝒻𝒾𝓁𝓂 𝟘𝟙𝟚
ＦＵＬＬ　ｗｉｄｔｈ！？
""".strip().split("\n")

_SYMBOLS = """
😀
😀😀😀 good 😀
👨‍👩‍👧‍👦 family
👍🏽👍🏿
🇩🇪🇫🇷🇺
❤️ ❤
🏴󠁧󠁢󠁥󠁮󠁧󠁿
1️⃣2️⃣
½ ⅓ ² ₂ ① ⑳ Ⅷ ㎏ ㍿ ㋿ ℃ № ™ …
´ ¨ ¯ ¸ ˜ ‾ ͺ ΅ ﷺ ﷽ ﹉ ﳲ
don´t don’t don‘t don't
“quoted” „quoted“ «quoted» ‹quoted›
a–b—c‒d−e‐f‑g
f°° ªº µ Ω K Å ſ
豈 更 車 說 福 侮 並 况
⼀⼆⼈ ⺟ ⻳
゛ ゜ ゝ ゞ ー
⁇ ⁈ ⁉ ‼
\u2585\u2585 good \u2585
<s> </s> <unk> <pad> <0x41> <0x00>
<br /><br />good film<br />
▁good▁film▁
▁▁▁
##good @@film Ġgood
http://www.example.com/a?b=c&d=%20#e
me@example.com
$12,345.67 (50%) 1/2 1e-9
C++ != C# ~ `code` | {x} [y] \\n \\t
'''''''' \"\"\"\"
!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
................ ------------------
_______________
aAaAaAaAaA
GOOD FILM Good Film gOOD fILM
""".strip().split("\n")

_MARKS = [
    "e\u0301 vs é",
    "a\u0300\u0301\u0302\u0303 " + "z" + "\u0335" * 40,
    "\u0301good",
    " \u0301 \u0308",
    "go\u00adod",  # soft hyphen
    "go\u200dod",  # joiner
    "go\u200cod",
    "go\u2060od",
    "\u202egood\u202c film",  # right-to-left override
    "\u2066good\u2069",
    "\u200egood\u200f",
    "\ufe0f\ufe0e",
    "q\u0323\u0307 q\u0307\u0323",
    "\u1100\u1161\u11a8 \uac01",
    "\u0958 \u0915\u093c",
    "\u212b \u00c5 A\u030a",
    "\ud7ff\ue000 \uf8ff private",
    "\ufdd0\uffff\U0001ffff noncharacters",
    "\U0010ffff\U0010fffd",
    "\ufffd \ufffd\ufffd",
    "\x00",
    "\x00\x00good\x00film\x00",
    "good\r\nfilm\rgood\n\nfilm",
    "\x1b[31mred\x1b[0m",
    "\x85\x96\x97 cp1252 \x91good\x92",
]

_LONG = [
    "a" * 17,
    "a" * 10_000,
    "ab" * 3_000,
    "good" * 500,
    " good" * 500,
    "g" * 16 + "ood" * 100,
    "中" * 1_000,
    "这家酒店很好" * 200,
    "😀" * 500,
    " " * 5_000,
    "\u3000\t" * 500 + "good" + "\n" * 500,
    "\x00" * 300,
    "\u0301" * 300,
    "ﷺ" * 50,
    "㍿" * 200,
    "½" * 300,
    "good film " * 300,
    "-" * 2_000 + "." * 2_000,
]

# One character of each kind Unicode knows, first and last of the kind, between letters.
_KINDS: dict[str, list[str]] = {}
for _code in [*range(0xD800), *range(0xE000, 0x110000)]:
    _KINDS.setdefault(unicodedata.category(chr(_code)), []).append(chr(_code))
_CATEGORIES = [f"a{c}b {c}" for kind in sorted(_KINDS) for c in (_KINDS[kind][0], _KINDS[kind][-1])]

HOSTILE: list[bytes] = list(
    dict.fromkeys(
        [b""]
        + [place.format(space).encode() for space in _SPACES for place in _SPACE_PLACES]
        + [f"go{control}od {control}".encode() for control in _CONTROLS]
        + [before + broken + after for broken in _BROKEN_UTF8 for before, after in _BROKEN_PLACES]
        + [text.encode() for text in (*_SCRIPTS, *_SYMBOLS, *_MARKS, *_LONG, *_CATEGORIES)]
    )
)
