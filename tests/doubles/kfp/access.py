"""Who asks, and whether they may: as the server does in multi-user mode, by TokenReview and SubjectAccessReview."""

from __future__ import annotations

from tests.doubles.kfp.cluster import Cluster, ClusterError
from tests.doubles.kfp.problems import Code, Problem

AUDIENCE = "pipelines.kubeflow.org"
GROUP = "pipelines.kubeflow.org"
VERSION = "v2beta1"


class Access:
    """Reviews by the cluster's own API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def allow(self, authorization: str, resource: str, verb: str, namespace: str) -> None:
        """Raises Problem (unauthenticated, permission denied)."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise Problem(
                Code.UNAUTHENTICATED, "Failed to check authorization. User identity is empty in the request header"
            )
        user = await self._user(token)
        if not await self._may(user, resource, verb, namespace):
            raise Problem(
                Code.PERMISSION_DENIED,
                f"Failed to access {resource}. Check if you have access to namespace {namespace}: User '{user}' is not"
                f" authorized (verb {verb}): Unauthorized access",
            )

    async def _user(self, token: str) -> str:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        try:
            status = (await self._cluster.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review))[
                "status"
            ]
        except ClusterError as error:
            raise Problem(Code.UNAUTHENTICATED, "Request header error: Failed to review the token provided") from error
        if not status.get("authenticated"):
            raise Problem(
                Code.UNAUTHENTICATED, "Review.Status.Authenticated is false: Failed to authenticate token review"
            )
        if AUDIENCE not in status.get("audiences", ()):
            raise Problem(Code.UNAUTHENTICATED, f"Failed to find all of '[{AUDIENCE}]' in audience")
        return str(status["user"]["username"])

    async def _may(self, user: str, resource: str, verb: str, namespace: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": GROUP, "version": VERSION, "resource": resource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},  # the server asks for the user, without groups
        }
        try:
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            return bool((await self._cluster.ask("POST", path, body=review))["status"]["allowed"])
        except ClusterError as error:
            raise Problem(Code.INTERNAL, f"Failed to create SubjectAccessReview for user '{user}'") from error
