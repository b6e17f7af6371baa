-- SPDX-License-Identifier: Apache-2.0
--
-- oci.lua - just enough of the Object Storage REST API for benchmarks, on nginx + Lua.
--
-- The bucket's name says what it does, so that no restart lies between two figures:
--   sink*      bodies are read, summed and dropped; size, CRC32C, Content-MD5 and opc-meta-* stay;
--              GET answers that many bytes of filler; multipart works; a listing is empty
--   v-NxS      N made-up objects f0000000, f0000001, … of S bytes of filler; listings are made up
-- Below /s3 the few calls of S3 that put small objects; nothing there is signed or counted as ours.
-- A suffix -dMS (sink-d20) delays every answer by MS milliseconds, as a network would.
--
-- CRC32C is real: over the very bytes received or sent, combined for multipart objects; a wrong one
-- is refused. Of the signatures one in SAMPLE is verified. /_stats counts: req, signed (a header of
-- the right shape), bad_signature, bad_crc, put, put_bytes, get, head, list, mp_create, mp_part,
-- mp_commit, mp_abort; /_stats?reset=1 sets them to zero.
local M = {}
local cjson = require("cjson.safe")
local ffi = require("ffi")
local bit = require("bit")
local bxor, band, rshift, tobit = bit.bxor, bit.band, bit.rshift, bit.tobit
local objects, stats = ngx.shared.objects, ngx.shared.stats
local fmt, floor = string.format, math.floor
local SAMPLE = 64
local RUN
local pages, npages = {}, 0
local blobs = {}
local NOW = "2024-01-01T00:00:00.000Z"

local seq = 0
local function uid()
  seq = seq + 1
  return fmt("%08x%08x%08x", ngx.worker.pid(), floor(ngx.now() * 1000) % 4294967296, seq)
end

local function count(what, n)
  stats:incr(what, n or 1, 0)
end

-- CRC32C -----------------------------------------------------------------------------------------

ffi.cdef "unsigned int crc32_iscsi(unsigned char *buffer, int len, unsigned int init);"
local have, isal = pcall(ffi.load, "libisal.so.2")
local POLY = tobit(0x82f63b78)
local bytewise
if not have then
  bytewise = ffi.new("int[256]")
  for i = 0, 255 do
    local c = i
    for _ = 1, 8 do c = band(c, 1) == 1 and bxor(rshift(c, 1), POLY) or rshift(c, 1) end
    bytewise[i] = c
  end
end

-- the sum of what came before and of s; 0 before the first
local function crc32c(sum, s)
  if have then
    local p = ffi.cast("unsigned char *", s)
    return tobit(bxor(isal.crc32_iscsi(p, #s, bit.bnot(sum) % 2^32), -1))
  end
  local p, c = ffi.cast("const unsigned char *", s), bxor(sum, -1)
  for i = 0, #s - 1 do c = bxor(bytewise[band(bxor(c, p[i]), 255)], rshift(c, 8)) end
  return bxor(c, -1)
end

local function times(mat, vec)           -- matrix over GF(2) by a vector
  local sum, i = 0, 0
  while vec ~= 0 do
    if band(vec, 1) == 1 then sum = bxor(sum, mat[i]) end
    vec, i = rshift(vec, 1), i + 1
  end
  return sum
end

local function square(mat)
  local out = {}
  for i = 0, 31 do out[i] = times(mat, mat[i]) end
  return out
end

-- the sum of two pieces, of which the second has len bytes
local function combine(a, b, len)
  local op = { [0] = POLY }              -- one zero bit
  for i = 1, 31 do op[i] = bit.lshift(1, i - 1) end
  op = square(square(op))                -- four of them
  while len > 0 do
    op = square(op)
    if len % 2 == 1 then a = times(op, a) end
    len = floor(len / 2)
  end
  return bxor(a, b)
end

local function base64(sum)
  return ngx.encode_base64(string.char(band(rshift(sum, 24), 255), band(rshift(sum, 16), 255),
    band(rshift(sum, 8), 255), band(sum, 255)))
end

-- signatures -------------------------------------------------------------------------------------

ffi.cdef [[
  typedef struct bio_st BIO; typedef struct evp_pkey_st EVP_PKEY;
  typedef struct evp_md_ctx_st EVP_MD_CTX;
  BIO *BIO_new_mem_buf(const void *, int); int BIO_free(BIO *);
  EVP_PKEY *PEM_read_bio_PUBKEY(BIO *, void *, void *, void *);
  EVP_MD_CTX *EVP_MD_CTX_new(void); void EVP_MD_CTX_free(EVP_MD_CTX *);
  const void *EVP_sha256(void);
  int EVP_DigestVerifyInit(EVP_MD_CTX *, void *, const void *, void *, EVP_PKEY *);
  int EVP_DigestVerify(EVP_MD_CTX *, const unsigned char *, size_t, const unsigned char *, size_t);
  void ERR_clear_error(void);
]]
local C, key = ffi.C, nil

local function genuine(auth)
  local names, sig = auth:match('headers="([^"]*)"'), auth:match('signature="([^"]*)"')
  local raw = sig and ngx.decode_base64(sig)
  if not names or not raw then return false end
  local lines = {}
  for name in names:gmatch("%S+") do
    if name == "(request-target)" then
      lines[#lines + 1] = name .. ": " .. ngx.req.get_method():lower() .. " " .. ngx.var.request_uri
    else
      local v = ngx.var["http_" .. name:gsub("-", "_")]
      if not v then return false end
      lines[#lines + 1] = name .. ": " .. v
    end
  end
  local text = table.concat(lines, "\n")
  local c = C.EVP_MD_CTX_new()
  local ok = C.EVP_DigestVerifyInit(c, nil, C.EVP_sha256(), nil, key) == 1 and
    C.EVP_DigestVerify(c, raw, #raw, text, #text) == 1
  C.EVP_MD_CTX_free(c)
  C.ERR_clear_error()
  return ok
end

local nseen = 0
local function check_signature()
  local auth = ngx.var.http_authorization
  if not auth or #auth < 300 or auth:sub(1, 10) ~= "Signature " or
     not auth:find('signature="', 1, true) then return end
  count("signed")
  nseen = nseen + 1
  if key and nseen % SAMPLE == 1 then
    count("verified")
    if not genuine(auth) then count("bad_signature") end
  end
end

-- bodies and objects -----------------------------------------------------------------------------

-- filler of any size with its sum, made once (sparse beyond those that neutral.sh prepared)
local function blob(size)
  if not blobs[size] then
    local p = RUN .. "/blob/" .. fmt("%d", size)
    local h = io.open(p, "rb")
    if not h then
      h = io.open(p, "wb")
      if size > 0 then h:seek("set", size - 1); h:write("\0") end
      h:close()
      h = io.open(p, "rb")
    end
    local sum = 0
    while true do
      local d = h:read(1048576)
      if not d then break end
      sum = crc32c(sum, d)
    end
    h:close()
    blobs[size] = base64(sum)
  end
  return blobs[size]
end

function M.init(run)
  RUN = run
  local h = io.open(run .. "/signer.pub")
  if h then
    local pem = h:read("*a")
    h:close()
    local bio = C.BIO_new_mem_buf(pem, #pem)
    key = C.PEM_read_bio_PUBKEY(bio, nil, nil, nil)
    C.BIO_free(bio)
    assert(key ~= nil, "signer.pub is no public key")
  end
  local list = io.popen("ls " .. run .. "/blob")
  for name in list:lines() do blob(tonumber(name)) end
  list:close()
end

-- every answer: request ids and, where the handler set them, object headers
function M.headers()
  local h, v = ngx.header, ngx.var
  local q = v.http_opc_client_request_id
  if q then h["opc-client-request-id"] = q end
  h["opc-request-id"] = uid()
  if (v.o_etag or "") == "" then return end
  h["ETag"], h["version-id"], h["storage-tier"] = v.o_etag, v.o_etag, "Standard"
  if v.o_crc ~= "" then h["opc-content-crc32c"] = v.o_crc end
  if v.o_md5 ~= "" then
    h[v.request_method == "PUT" and "opc-content-md5" or "Content-MD5"] = v.o_md5
  end
  if v.o_meta ~= "" then
    for k, x in string.gmatch(v.o_meta, "([^\1]+)\1([^\2]*)\2") do h[k] = x end
  end
end

local function send(status, body, ctype)
  ngx.status = status
  if body then
    ngx.header["Content-Type"] = ctype or "application/json"
    ngx.header["Content-Length"] = #body
    ngx.print(body)
  else
    ngx.header["Content-Length"] = 0
  end
  return ngx.exit(ngx.OK)
end

local function fail(status, code)
  return send(status, fmt('{"code":"%s","message":"%s"}', code, code))
end

local function drop_body()               -- its size and sum; nil when the client went away
  local len = tonumber(ngx.var.content_length)
  if not len then return nil end
  local sum, left = 0, len
  local s = len > 0 and ngx.req.socket()
  while left > 0 do
    local got = s:receiveany(left < 262144 and left or 262144)
    if not got then return nil end
    sum = crc32c(sum, got)
    left = left - #got
  end
  return len, sum
end

local function refused(sum)              -- the body is not what the client has announced
  local claim = ngx.var.http_opc_content_crc32c
  if claim and claim ~= base64(sum) then
    count("bad_crc")
    return true
  end
end

local function read_json()
  ngx.req.read_body()
  local d = ngx.req.get_body_data()
  if not d then
    local f = ngx.req.get_body_file()
    if f then local h = io.open(f); d = h:read("*a"); h:close(); os.remove(f) end
  end
  return d and cjson.decode(d) or {}
end

local function meta()
  local t = {}
  for k, x in pairs(ngx.req.get_headers(200)) do
    if k:sub(1, 9) == "opc-meta-" or k == "content-type" then
      t[#t + 1] = k .. "\1" .. tostring(x) .. "\2"
    end
  end
  return table.concat(t)
end

local function remember(name, size, sum, md5)
  local etag = uid()
  objects:set(name, fmt("%d|%s|%s|%s|%s", size, md5 or "", etag, base64(sum), meta()))
  return etag
end

-- size, md5, etag, crc32c, metadata; nil: no such object
local function recall(bucket, name, where)
  local n, s = bucket:match("^v%-(%d+)x(%d+)")
  if n then
    local i = tonumber(name:match("^f(%d+)$"))
    if not i or i >= tonumber(n) then return nil end
    s = tonumber(s)
    return s, "", "e" .. name, blob(s), ""
  end
  local r = objects:get(where)
  if not r then return nil end
  local size, md5, etag, crc, m = r:match("^(%d+)|([^|]*)|([^|]*)|([^|]*)|(.*)$")
  return tonumber(size), md5, etag, crc, m
end

-- lists ------------------------------------------------------------------------------------------

-- names of a bucket from `start` on, at most `limit`, and the next name
local function names_of(bucket, prefix, start, limit)
  local n, s = bucket:match("^v%-(%d+)x(%d+)")
  local names = {}
  if not n then return names end
  n, s = tonumber(n), tonumber(s)
  for i = tonumber(start:match("^f(%d+)")) or 0, n - 1 do
    local name = fmt("f%07d", i)
    if name:sub(1, #prefix) == prefix then
      if #names == limit then return names, name end
      names[#names + 1] = { name, s, "e" .. name }
    end
  end
  return names
end

local function str(x) return type(x) == "string" and x ~= "" and x or nil end

local function list(bucket)
  local a = ngx.req.get_uri_args()
  local fields, delim = str(a.fields) or "", str(a.delimiter)
  local prefix, start = str(a.prefix) or "", str(a.start) or ""
  local limit = math.min(tonumber(a.limit) or 1000, 1000)
  local tag = table.concat({ bucket, start, limit, prefix, delim or "", fields }, "\1")
  if pages[tag] then return send(200, pages[tag]) end
  local f_size, f_etag = fields:find("size", 1, true), fields:find("etag", 1, true)
  local f_time = fields:find("time", 1, true)
  local names, nextname = names_of(bucket, prefix, start, limit)
  local out, prefixes, seen = {}, {}, {}
  for _, o in ipairs(names) do
    local cut = delim and o[1]:find(delim, #prefix + 1, true)
    if cut then
      local p = o[1]:sub(1, cut)
      if not seen[p] then seen[p] = true; prefixes[#prefixes + 1] = cjson.encode(p) end
    else
      local t = '{"name":"' .. o[1] .. '"'
      if f_size then t = t .. ',"size":' .. fmt("%d", o[2]) end
      if f_etag then t = t .. ',"etag":"' .. o[3] .. '"' end
      if f_time then t = t .. ',"timeCreated":"' .. NOW .. '","timeModified":"' .. NOW .. '"' end
      out[#out + 1] = t .. "}"
    end
  end
  local body = '{"objects":[' .. table.concat(out, ",") .. '],"prefixes":[' ..
    table.concat(prefixes, ",") .. "]" ..
    (nextname and ',"nextStartWith":"' .. nextname .. '"' or "") .. "}"
  if npages > 2000 then pages, npages = {}, 0 end  -- kept: they cost nothing the second time
  pages[tag] = body; npages = npages + 1
  return send(200, body)
end

-- objects and uploads ----------------------------------------------------------------------------

local function put(where)
  local size, sum = drop_body()
  if not size then return ngx.exit(499) end
  if refused(sum) then return fail(400, "UnmatchedContentCRC32C") end
  count("put"); count("put_bytes", size)
  local md5 = ngx.var.http_content_md5
  ngx.header["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
  ngx.var.o_etag, ngx.var.o_crc = remember(where, size, sum, md5), base64(sum)
  ngx.var.o_md5 = md5 or ""
  return send(200)
end

local function get(bucket, name, where)
  local size, md5, etag, crc, m = recall(bucket, name, where)
  if not size then return fail(404, "ObjectNotFound") end
  count(ngx.req.get_method() == "HEAD" and "head" or "get")
  local want = ngx.var.http_if_match
  if want and want ~= etag then return fail(412, "IfMatchFailed") end
  ngx.var.o_etag, ngx.var.o_md5, ngx.var.o_crc, ngx.var.o_meta = etag, md5, crc, m or ""
  ngx.req.clear_header("If-Match")       -- the static handler knows nothing of our ETags
  ngx.req.clear_header("If-None-Match")
  blob(size)
  return ngx.exec("/_blob/" .. fmt("%d", size))
end

local function multipart(method, ns, bucket, name)
  local a = ngx.req.get_uri_args()
  if name == "" then
    if method == "GET" then return send(200, "[]") end
    local j, id = read_json(), uid()
    if not j.object then return fail(400, "InvalidParameter") end
    objects:set("\1" .. id, j.object)
    count("mp_create")
    return send(200, cjson.encode({ namespace = ns, bucket = bucket, object = j.object,
      uploadId = id, timeCreated = NOW, storageTier = "Standard" }))
  end
  local id = a.uploadId
  if not id or not objects:get("\1" .. id) then return fail(404, "UploadNotFound") end
  local part = "\1" .. id .. "\1"
  if method == "PUT" then
    local size, sum = drop_body()
    if not size then return ngx.exit(499) end
    if refused(sum) then return fail(400, "UnmatchedContentCRC32C") end
    local etag = uid()
    local md5 = ngx.var.http_content_md5 or ""
    objects:set(part .. a.uploadPartNum, fmt("%d|%d|%s|%s", size, sum, etag, md5))
    count("mp_part"); count("put_bytes", size)
    ngx.var.o_etag, ngx.var.o_crc, ngx.var.o_md5 = etag, base64(sum), md5
    return send(200)
  elseif method == "POST" then
    local want, total, sum, md5s = read_json().partsToCommit or {}, 0, 0, ""
    table.sort(want, function(x, y) return x.partNum < y.partNum end)
    for _, p in ipairs(want) do
      local kept = objects:get(part .. fmt("%d", p.partNum)) or ""
      local size, crc, etag, md5 = kept:match("^(%d+)|(-?%d+)|(.*)|(.*)$")
      if etag ~= p.etag or not etag then return fail(400, "InvalidUploadPart") end
      total, sum = total + tonumber(size), combine(sum, tonumber(crc), tonumber(size))
      md5s = md5s .. (ngx.decode_base64(md5) or "")
      objects:delete(part .. fmt("%d", p.partNum))
    end
    if #want == 0 then return fail(400, "InvalidParameter") end
    objects:delete("\1" .. id)
    count("mp_commit")
    local etag = remember(ns .. "/" .. bucket .. "/" .. name, total, sum, "")
    ngx.header["opc-multipart-md5"] = ngx.encode_base64(ngx.md5_bin(md5s)) .. "-" .. #want
    ngx.header["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
    ngx.var.o_etag, ngx.var.o_crc = etag, base64(sum)
    return send(200)
  elseif method == "DELETE" then
    count("mp_abort")
    objects:delete("\1" .. id)
    return send(204)
  end
  return send(200, "[]")                 -- GET: parts of an upload
end

local function bucket_json(ns, b)
  return fmt('{"namespace":"%s","name":"%s","compartmentId":"ocid1.compartment.oc1..bench",' ..
    '"createdBy":"bench","timeCreated":"%s","etag":"b-%s","publicAccessType":"NoPublicAccess",' ..
    '"storageTier":"Standard","objectEventsEnabled":false,"freeformTags":{},' ..
    '"definedTags":{},"metadata":{}}', ns, b, NOW, b)
end

function M.handle()
  local method, uri = ngx.req.get_method(), ngx.var.uri
  count("req")
  check_signature()
  local ns, rest = uri:match("^/n/([^/]+)/?(.*)$")
  if not ns then return send(200, '"bench"') end
  local bucket, tail = rest:match("^b/([^/]*)(.*)$")
  if not bucket then return fail(404, "NotFound") end
  if bucket == "" then return send(200, "[" .. bucket_json(ns, "sink") .. "]") end
  local delay = bucket:match("%-d(%d+)$")
  if delay then ngx.sleep(tonumber(delay) / 1000) end
  local kind, name = tail:match("^/([oua][^/]*)/?(.*)$")
  if not kind then
    ngx.header["ETag"] = "b-" .. bucket
    return send(200, method == "HEAD" and "" or bucket_json(ns, bucket))
  end
  if kind == "u" then return multipart(method, ns, bucket, name) end
  if kind ~= "o" then return fail(404, "NotFound") end
  if name == "" then count("list"); return list(bucket) end
  local where = ns .. "/" .. bucket .. "/" .. name
  if method == "PUT" then
    return put(where)
  elseif method == "GET" or method == "HEAD" then
    return get(bucket, name, where)
  elseif method == "DELETE" then
    objects:delete(where)
    return send(204)
  end
  return fail(405, "MethodNotAllowed")
end

-- The calls that an S3 client needs to put small objects into a sink: /s3/BUCKET/NAME.
function M.s3()
  local method = ngx.req.get_method()
  local bucket, name = ngx.var.uri:match("^/s3/([^/]*)/?(.*)$")
  if method == "PUT" and name ~= "" then
    local size, sum = drop_body()
    if not size then return ngx.exit(499) end
    count("put"); count("put_bytes", size)
    ngx.header["ETag"] = '"' .. remember("s3/" .. bucket .. "/" .. name, size, sum, "") .. '"'
    return send(200)
  elseif method == "GET" and name == "" then
    return send(200, '<?xml version="1.0"?><ListBucketResult><Name>' .. bucket ..
      "</Name><IsTruncated>false</IsTruncated></ListBucketResult>", "application/xml")
  elseif method == "HEAD" and name == "" then
    return send(200)
  elseif method == "HEAD" or method == "GET" then
    return fail(404, "NoSuchKey")
  end
  return fail(405, "MethodNotAllowed")
end

function M.stats()
  local t = {}
  for _, k in ipairs(stats:get_keys(0)) do t[k] = stats:get(k) end
  if ngx.var.arg_reset then stats:flush_all() end
  return send(200, cjson.encode(t))
end

return M
