"""Evidence as a form with a file, or by reference to where it is kept."""

from typing import Any

import pytest
from web_lab import CASES, Answer, House, fiber, refused

BOUNDARY = "a-boundary"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form(file: bytes | None = b"\x89PNG\x00\xff", **fields: str) -> bytes:
    given = {"type": "screenshot", "source": "vendor console", "proves_resolution": "true", **fields}
    parts = [part(name, value.encode()) for name, value in given.items()]
    if file is not None:
        parts.append(part("file", file, '; filename="a.png"\r\nContent-Type: image/png'))
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def a_case(house: House, customer: str) -> Any:
    house.targets.will(customer, "activateFiber", refused("TERMINAL"))
    placed = await house.place(fiber(), customer=customer)
    await house.work()
    return await house.case_of(placed["id"])


async def upload(house: House, case: Any, body: bytes, **headers: str) -> Answer:
    sent = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return await house.call("POST", f"{CASES}/{case['id']}/evidence", data=body, version=case["version"], headers=sent)


async def test_a_file_is_kept_as_it_came_with_what_it_is_said_to_be(house: House) -> None:
    case = await a_case(house, "C-upload-1")
    answer = await upload(house, case, form())
    assert answer.status == 201, answer.raw
    kept = answer.json["evidence"]
    assert (kept["type"], kept["media_type"], kept["size"], kept["proves_resolution"]) == (
        "screenshot",
        "image/png",
        6,
        True,
    )
    await house.call("POST", f"{CASES}/{case['id']}/reveal", {"reason": "to see the picture"})
    got = await house.call("GET", f"{CASES}/{case['id']}/evidence/{kept['id']}")
    assert got.raw == b"\x89PNG\x00\xff"


async def test_a_form_sent_again_under_its_key_is_kept_once(house: House) -> None:
    case = await a_case(house, "C-upload-2")
    first = await upload(house, case, form(), **{"Idempotency-Key": "upload-2"})
    again = await upload(house, case, form(), **{"Idempotency-Key": "upload-2"})
    assert (first.status, again.status, again.raw) == (201, 201, first.raw)
    assert len((await house.get(f"{CASES}/{case['id']}/evidence"))["evidence"]) == 1


async def test_evidence_by_reference_says_where_it_is_kept(house: House) -> None:
    case = await a_case(house, "C-upload-3")
    body = {"type": "vendor_request", "source": "vendor portal", "reference": "VND-2026-77"}
    answer = await house.call("POST", f"{CASES}/{case['id']}/evidence", body, version=case["version"])
    assert answer.status == 201, answer.raw
    got = await house.call("GET", f"{CASES}/{case['id']}/evidence/{answer.json['evidence']['id']}")
    assert got.json == {"reference": "VND-2026-77"}
    both = await house.call(
        "POST", f"{CASES}/{case['id']}/evidence", body | {"content": "x"}, version=answer.json["version"]
    )
    assert (both.status, both.pointers) == (422, ["/content"])


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (form(None), 422, ["/file"]),
        (form(b""), 422, ["/file"]),
        (form(type="gossip"), 422, ["/type"]),
        (form(proves_resolution="perhaps"), 422, ["/proves_resolution"]),
        (form(colour="red"), 422, ["/colour"]),
        (form().replace(b'name="source"', b'name="type"'), 422, ["/type"]),
        (form(source="x" * 10_001), 422, ["/source"]),
        (form()[:-20], 400, None),
        (b"", 400, None),
        (b"{}", 400, None),
        (form(source="\ufffd").replace("\ufffd".encode(), b"\xff\xfe"), 400, None),
    ],
)
async def test_a_form_that_is_none_is_told_so(house: House, body: bytes, status: int, pointers: Any) -> None:
    case = await a_case(house, "C-upload-bad")
    answer = await upload(house, case, body)
    assert answer.status == status, answer.raw
    assert pointers is None or answer.pointers == pointers
    assert answer.rule == ("not-a-form" if status == 400 else "valid-input")
