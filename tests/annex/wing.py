"""The annex: contracts with those who help from outside."""

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, Role, permission
from mainstay.foundation.wing import Action, Duties, Look, Part, Place, Report, Search, SubjectPage, Wing

CONTRACTS_EDIT = permission("contracts.edit", "Sign and end contracts", Role.DEVOPS)

_PARTS = "tests.annex.pages.parts"

WING = Wing(
    app="tests.annex",
    urls="tests.annex.pages.urls",
    routers=("tests.annex.api.router",),
    places=(Place("Contracts", "contracts", "Respond", 90, "people", "z", "vendor support", count=f"{_PARTS}.over"),),
    actions=(Action("Sign a contract", "contract_new", "vendor"),),
    states={
        "covered": Look("covered", "ok", "●", "the vendor answers"),
        "over": Look("over", "bad", "■", "the vendor owes nothing any more"),
    },
    subjects={"contract": SubjectPage("contract", by="name")},
    permissions=(CONTRACTS_EDIT,),
    resources=("tests.annex.resource.CONTRACTS",),
    parts=(
        Part("now", "live", 70, f"{_PARTS}.now"),
        Part("application", "side", 80, f"{_PARTS}.of_application"),
    ),
    duties=(Duties(f"{_PARTS}.ending", {Role.PRODUCT: 50, Role.DEVOPS: 70}),),
    searches=(Search("Contracts", f"{_PARTS}.find", OPERATIONS_VIEW, 60),),
    reports=(Report("contracts", "tests.annex.status.report", 50),),
    figures=("tests.annex.status.figures",),
    cycles={"worker": "tests.annex.cycles.worker"},
)
