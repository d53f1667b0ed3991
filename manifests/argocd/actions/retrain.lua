-- Asks for a retraining. An annotation that Git does not have is no difference for Argo CD, so nothing reverts it.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["runwright.dev/retrain"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
