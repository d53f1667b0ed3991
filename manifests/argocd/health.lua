-- Health of a TrainingRun for Argo CD. It reads the conditions that the operator writes, in the order of their weight,
-- and nothing else. Argo CD gives it `obj`, and of Lua's libraries only `table` and a part of `os`.

local status = obj.status

local function condition(name)
  for _, found in ipairs(status.conditions or {}) do
    if found.type == name then
      return found
    end
  end
  return {}
end

local function health(word, message)
  return {status = word, message = message or ""}
end

local function explained(found)
  return (found.reason or "Unknown") .. ": " .. (found.message or "")
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "being deleted")
end
if status == nil or status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waiting for the operator to see this version")
end

local suspended = condition("Suspended")
if suspended.status == "True" then
  return health("Suspended", suspended.message)
end

local stalled = condition("Stalled")
if stalled.status == "True" then
  return health("Degraded", explained(stalled))
end

local reconciling = condition("Reconciling")
if reconciling.status == "True" then
  local summary = status.progress and status.progress.summary or ""
  local message = reconciling.message or ""
  if summary ~= "" and message ~= "" then
    return health("Progressing", summary .. " (" .. message .. ")")
  end
  return health("Progressing", summary .. message)
end

local ready = condition("Ready")
if ready.status == "True" then
  return health("Healthy", ready.message)
end
if ready.status == "False" then
  return health("Degraded", explained(ready))
end
return health("Progressing", "waiting for the operator")
