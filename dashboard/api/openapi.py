"""The API as an OpenAPI 3.1 document, made from the table of doors. Answers are described in docs/http-api.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dashboard.api.door import Door
from dashboard.api.uploading import FILES
from tasks import __version__
from tasks.access import NEEDS

ROOT = "/api/v1"
SCHEMA = "#/components/schemas/{model}"
REFUSALS = {
    "400": "The request is malformed or broke off.",
    "401": "No token, or one that opens nothing.",
    "403": "The role does not hold the right.",
    "404": "There is no such thing, or not for this person.",
    "408": "The body came too slowly.",
    "409": "It is in another state, or somebody was faster.",
    "413": "It is too large.",
    "415": "It is of another type.",
    "422": "It cannot be meant so.",
    "429": "Too much at once; Retry-After says when.",
    "503": "Redis or the disk does not answer at the moment.",
}


def document(doors: Iterable[Door]) -> dict[str, Any]:
    table = list(doors)
    models = {model for door in table for model in (door.query, door.body) if model is not None}
    ordered = sorted(models, key=lambda model: (model.__module__, model.__name__))
    names, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=SCHEMA)
    named = {model: names[model, "validation"]["$ref"].rpartition("/")[2] for model in ordered}
    found = schemas.get("$defs", {})
    found["Refusal"] = {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "a sentence for a person"},
            "code": {"type": "string", "description": "a word for a program, which stays"},
        },
    }
    paths: dict[str, dict[str, Any]] = {}
    for door in table:
        query = found[named[door.query]] if door.query is not None else {}
        body = named[door.body] if door.body is not None else ""
        paths.setdefault(ROOT + door.path, {})[door.method.lower()] = _operation(door, query, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ingestboard", "version": __version__, "description": "See docs/http-api.md."},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "ibt_..."}},
            "schemas": found,
            "responses": {code: _refusal(about) for code, about in REFUSALS.items()},
        },
    }


def _operation(door: Door, query: dict[str, Any], body: str) -> dict[str, Any]:
    needed = set(query.get("required", ()))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in door.parameters
    ] + [
        {"name": name, "in": "query", "required": name in needed, "schema": schema}
        for name, schema in query.get("properties", {}).items()
    ]
    role = NEEDS[door.right]
    made: dict[str, Any] = {
        "operationId": door.name,
        "tags": [door.path.split("/")[1]],
        "summary": door.about,
        "description": f"Takes the role {role.value if role else 'of the programs'} or a higher one.",
        "parameters": parameters,
        "responses": {
            str(door.status): {"description": "It was done.", "content": {"application/json": {"schema": {}}}},
            **{code: {"$ref": f"#/components/responses/{code}"} for code in REFUSALS},
        },
    }
    if door.body is not None:
        made["requestBody"] = _body(door, body)
    return made


def _body(door: Door, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": SCHEMA.format(model=name)}
    if door.files:
        files = {FILES: {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}}
        both = {"allOf": [schema, {"type": "object", "required": [FILES], "properties": files}]}
        return {"required": True, "content": {"multipart/form-data": {"schema": both}}}
    examples = [dict(one) for one in (door.example, *door.also.values()) if one]
    told: dict[str, Any] = {"schema": schema} | ({"example": examples[0]} if examples else {})
    return {"required": _wanted(door.body), "content": {"application/json": told}}


def _wanted(model: type[BaseModel] | None) -> bool:
    return model is not None and any(field.is_required() for field in model.model_fields.values())


def _refusal(about: str) -> dict[str, Any]:
    schema = {"$ref": SCHEMA.format(model="Refusal")}
    return {"description": about, "content": {"application/json": {"schema": schema}}}
