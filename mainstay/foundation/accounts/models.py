"""People, teams, tokens, one-time sign-in links."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import Role, covers
from mainstay.foundation.columns import WordField

ROLES = frozenset(role.value for role in Role)


class People(BaseUserManager["User"]):
    """Makes people; the address is kept in lower case, since mail systems treat it so."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a person; without a password they sign in by link first."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser):
    """A person with one role."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    role = WordField(max_length=20, default=Role.STAKEHOLDER.value, words=ROLES, otherwise=Role.STAKEHOLDER.value)
    time_zone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    is_staff = False
    is_superuser = False

    objects = People()

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return str(self)

    @property
    def actor(self) -> Actor:
        """This person as an actor."""
        return Actor(key=f"user:{self.pk}", name=str(self), role=Role(self.role))


class Team(models.Model):
    """A group of people who own applications."""

    name = models.CharField(max_length=100, unique=True)
    email = models.EmailField(blank=True)
    members = models.ManyToManyField(User, related_name="teams", blank=True)
    managed_by = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class Tokens(models.Manager["Token"]):
    """Reads tokens with their makers, on whose rights it depends whether they are good."""

    def get_queryset(self) -> models.QuerySet["Token"]:
        return super().get_queryset().select_related("maker")


class Token(models.Model):
    """A key to the API. Only its digest is stored; the token is shown once.

    `maker` is the person who made it, also through another token (`parent`); none for the command line.
    """

    name = models.CharField(max_length=100)
    role = WordField(max_length=20, words=ROLES, otherwise=Role.STAKEHOLDER.value)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=16)
    created_by = models.CharField(max_length=100)
    maker = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="tokens")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = Tokens()

    def __str__(self) -> str:
        return self.name

    @property
    def actor(self) -> Actor:
        """This token as an actor."""
        return Actor(key=f"token:{self.pk}", name=f"token {self.name}", role=Role(self.role))

    def usable(self, now: datetime) -> bool:
        """Tell whether the token is neither revoked nor expired at `now`, nor above the rights of who made it."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at) and self.rightful

    @property
    def rightful(self) -> bool:
        """Whether the person who made the token has access and may still do all that it may."""
        maker = self.maker
        return maker is None or (maker.is_active and covers(Role(maker.role), Role(self.role)))


class SignInLink(models.Model):
    """A link that signs one person in once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    maker = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="links_made")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
