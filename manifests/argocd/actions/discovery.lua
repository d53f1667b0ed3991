-- A run that is being deleted or suspended starts nothing.
local refused = obj.metadata.deletionTimestamp ~= nil or obj.spec.suspend == true
return {retrain = {disabled = refused}}
