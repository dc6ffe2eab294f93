#include "front/gateway/schemas.h"

namespace tallymill::gateway {
namespace {

constexpr const char* all = R"json({
"Submission": {
  "type": "object", "required": ["kind"], "additionalProperties": false,
  "properties": {
    "kind": {"type": "string", "description": "one of /v1/kinds"},
    "params": {"type": "object", "description": "as the kind describes them"},
    "inputs": {"type": "array", "maxItems": 64, "items": {
      "type": "object", "required": ["digest"], "additionalProperties": false,
      "properties": {
        "name": {"type": "string"}, "media_type": {"type": "string"},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                   "description": "of a blob that PUT /v1/blobs stored"}}}},
    "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 4},
    "deadline_s": {"type": "number", "minimum": 0, "description": "seconds from now"},
    "delay_s": {"type": "number", "minimum": 0, "description": "not before, in seconds from now"}}},
"Form": {
  "type": "object", "required": ["kind"],
  "properties": {
    "kind": {"type": "string"},
    "params": {"type": "string", "description": "a JSON object"},
    "priority": {"type": "string"}, "deadline_s": {"type": "string"}, "delay_s": {"type": "string"},
    "file": {"type": "string", "contentMediaType": "application/octet-stream",
             "description": "an input; any part with a file name is one"}}},
"Accepted": {
  "type": "object", "required": ["job", "known"], "additionalProperties": false,
  "properties": {
    "job": {"type": "integer"},
    "known": {"type": "boolean", "description": "its key had been used for this very job before"},
    "state": {"type": "string", "description": "of a known job"}}},
"Stored": {
  "type": "object", "required": ["digest", "bytes"], "additionalProperties": false,
  "properties": {"digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                 "bytes": {"type": "integer"}}},
"Job": {
  "type": "object", "required": ["job", "kind", "client", "state", "priority", "attempts",
                                 "charges", "submitted_unix_ns"],
  "properties": {
    "job": {"type": "integer"}, "kind": {"type": "string"}, "client": {"type": "string"},
    "state": {"enum": ["waiting", "backoff", "scheduled", "in_flight", "cancelling", "settling",
                       "done", "failed", "cancelled", "expired"]},
    "priority": {"type": "integer"}, "attempts": {"type": "integer"},
    "charges": {"type": "integer"}, "submitted_unix_ns": {"type": "integer"},
    "deadline_unix_ns": {"type": "integer"}, "end_unix_ns": {"type": "integer"},
    "took_ns": {"type": "integer", "description": "from its receipt to the decision"},
    "parent": {"type": "integer"}, "code": {"type": "string"}, "message": {"type": "string"},
    "field": {"type": "string"}}},
"Jobs": {
  "type": "object", "required": ["schema", "jobs"],
  "properties": {"schema": {"const": 1},
                 "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
                 "cursor": {"type": "string", "description": "of the next page; empty: none"}}},
"Cancelled": {
  "type": "object", "required": ["job", "state"],
  "properties": {"job": {"type": "integer"}, "state": {"enum": ["cancelled", "cancelling"]}}},
"Result": {
  "type": "object", "required": ["job", "values", "files"], "additionalProperties": false,
  "properties": {
    "job": {"type": "integer"}, "values": {"type": "object"},
    "files": {"type": "array", "items": {
      "type": "object", "required": ["name", "media_type", "bytes", "href"],
      "additionalProperties": false,
      "properties": {
        "name": {"type": "string"}, "media_type": {"type": "string"},
        "bytes": {"type": "integer"}, "digest": {"type": "string"},
        "href": {"type": "string", "description": "where its bytes are"}}}}}},
"Timeline": {
  "type": "object", "required": ["schema", "job", "kind", "state", "attempts", "parts"],
  "properties": {"schema": {"const": 1}, "job": {"type": "integer"}, "kind": {"type": "string"},
                 "state": {"type": "string"},
                 "whole_ns": {"type": ["integer", "null"],
                              "description": "from its receipt to the announcement of its end"},
                 "attempts": {"type": "array"}}},
"Waterfalls": {
  "type": "object", "required": ["schema", "ledger", "head", "next", "more", "waterfalls"],
  "properties": {
    "schema": {"const": 1}, "ledger": {"type": "string"},
    "head": {"type": "integer", "description": "the highest number given"},
    "next": {"type": "integer", "description": "what to ask after next"},
    "more": {"type": "boolean", "description": "there is more now"},
    "gap": {"type": "object", "required": ["from", "to"], "additionalProperties": false,
            "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}},
            "description": "numbers that are not told"},
    "waterfalls": {"type": "array",
                   "items": {"$ref": "#/components/schemas/Waterfall"}}}},
"Waterfall": {
  "type": "object", "required": ["keep_seq", "weight", "seq", "job", "kind", "client", "state",
                                 "attempts", "submitted_unix_ns", "end_unix_ns", "took_ns"],
  "properties": {
    "keep_seq": {"type": "integer"},
    "weight": {"type": "number", "minimum": 1, "description": "how many like it it stands for"},
    "seq": {"type": "integer", "description": "of its end"},
    "job": {"type": "integer"}, "kind": {"type": "string"}, "client": {"type": "string"},
    "state": {"enum": ["done", "failed", "cancelled", "expired"]},
    "attempts": {"type": "integer"}, "submitted_unix_ns": {"type": "integer"},
    "end_unix_ns": {"type": "integer"}, "took_ns": {"type": "integer"},
    "code": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"},
    "timeline": {"$ref": "#/components/schemas/Timeline"},
    "cut": {"const": true, "description": "its timeline is too large to be told"}}},
"Workers": {
  "type": "object", "required": ["schema", "workers"],
  "properties": {"schema": {"const": 1},
                 "workers": {"type": "array", "items": {"$ref": "#/components/schemas/Worker"}}}},
"Worker": {
  "type": "object", "required": ["id", "incarnation", "stage", "host", "pid", "open"],
  "properties": {"id": {"type": "integer"}, "incarnation": {"type": "string"},
                 "stage": {"type": "string"}, "host": {"type": "string"},
                 "pid": {"type": "integer"}, "open": {"type": "boolean"},
                 "busy_ratio": {"type": "number"}, "last_seen_ms": {"type": "integer"}}},
"Topology": {
  "type": "object", "required": ["schema", "kinds", "routes", "stages", "workers", "lanes"],
  "properties": {"schema": {"const": 1}, "kinds": {"type": "array"}, "routes": {"type": "array"},
                 "stages": {"type": "array", "items": {"type": "string"}},
                 "workers": {"type": "array", "items": {"$ref": "#/components/schemas/Worker"}},
                 "lanes": {"type": "array"}}},
"Kinds": {
  "type": "object", "required": ["schema", "kinds"],
  "properties": {"schema": {"const": 1}, "kinds": {"type": "array", "items": {
    "type": "object", "required": ["name", "route", "help", "params"],
    "properties": {"name": {"type": "string"},
                   "route": {"type": "array", "items": {"type": "string"}},
                   "help": {"type": "string"}, "params": {"type": "array"}}}}}},
"Snapshot": {
  "type": "object", "required": ["schema", "front_epoch", "seq", "taken_unix_ns", "jobs", "lanes",
                                 "balanced"],
  "properties": {"schema": {"const": 1}, "front_epoch": {"type": "integer"},
                 "seq": {"type": "integer"}, "taken_unix_ns": {"type": "integer"},
                 "jobs": {"type": "object"}, "lanes": {"type": "array"},
                 "balanced": {"type": "boolean"}, "replaying": {"type": "boolean"}}},
"Health": {
  "type": "object", "required": ["state", "version"], "additionalProperties": false,
  "properties": {"state": {"const": "ok"}, "version": {"type": "string"}}},
"Readiness": {
  "type": "object", "required": ["state", "checks"], "additionalProperties": false,
  "properties": {"state": {"enum": ["ok", "degraded", "down"]},
                 "checks": {"type": "object", "additionalProperties": {
                   "type": "object", "required": ["state"],
                   "properties": {"state": {"enum": ["ok", "degraded", "down"]},
                                  "detail": {"type": "string"}}}}}}
})json";

}  // namespace

std::map<std::string, nlohmann::json> schemas() {
  return nlohmann::json::parse(all).get<std::map<std::string, nlohmann::json>>();
}

}  // namespace tallymill::gateway
