"""Forms of people, teams and tokens."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.kit.forms import Form, ZoneField

ROLES = [(role.value, role.label) for role in Role]
EXPIRIES = ((30, "30 days"), (90, "90 days"), (365, "1 year"), (0, "never"))


class InviteForm(Form):
    """Who is invited, and as what."""

    email = forms.EmailField(label="E-mail address", help_text="They sign in with it.")
    name = forms.CharField(max_length=200, required=False, help_text="As others see it; empty: the address.")
    role = forms.ChoiceField(
        choices=ROLES, initial=Role.SUPPORT.value, help_text="What each role may do stands under Permissions."
    )
    time_zone = ZoneField(label="Time zone", initial="UTC")


class PersonForm(Form):
    """What an administrator changes of a person."""

    email = forms.EmailField(label="E-mail address", help_text="They sign in with it. Changing it signs them out.")
    name = forms.CharField(max_length=200, required=False, help_text="As others see it; empty: the address.")
    role = forms.ChoiceField(choices=ROLES)
    time_zone = ZoneField(label="Time zone")


class OwnForm(Form):
    """What people change of themselves."""

    name = forms.CharField(max_length=200, required=False, help_text="As others see it; empty: your address.")
    time_zone = ZoneField(label="Time zone", help_text="All times you see are in it.")


class TeamForm(Form):
    """A team and who is in it."""

    name = forms.CharField(max_length=100)
    email = forms.EmailField(
        label="E-mail address", required=False, help_text="A shared mailbox, for whoever looks for the owner."
    )
    members = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        members = self.fields["members"]
        assert isinstance(members, forms.ModelMultipleChoiceField)
        members.queryset = User.objects.filter(is_active=True).order_by("name", "email")


class TokenForm(Form):
    """A key to the API."""

    name = forms.CharField(max_length=100, help_text="What it is for: the program or the host that uses it.")
    role = forms.ChoiceField(choices=ROLES, initial=Role.DEVOPS.value, help_text="It may do what this role may.")
    expires = forms.TypedChoiceField(label="Expires after", coerce=int, choices=EXPIRIES, initial=90)


class FirstPasswordForm(Form):
    """A new password, asked twice, judged by the rules of the settings."""

    new_password1 = forms.CharField(
        label="New password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    new_password2 = forms.CharField(
        label="Repeat password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, user: User, data: Any = None) -> None:
        self.user = user
        super().__init__(data)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        first, second = values.get("new_password1"), values.get("new_password2")
        if first and second and first != second:
            self.add_error("new_password2", "The two are not the same.")
        elif first and second:
            try:
                validate_password(first, self.user)
            except forms.ValidationError as error:
                self.add_error("new_password1", error)
        return values
