from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "mainstay.desk"
    label = "desk"

    def ready(self) -> None:
        """Tell the ground and the kit what all wings bring."""
        from mainstay.foundation.accounts.permissions import PERMISSIONS
        from mainstay.foundation.journal.subjects import SUBJECT_PAGES
        from mainstay.foundation.parts import PARTS
        from mainstay.foundation.wing import GROUPS
        from mainstay.kit import nav, rows
        from mainstay.wings import WINGS

        for wing in WINGS:
            rows.STATES.update(wing.states)
            SUBJECT_PAGES.update(wing.subjects)
        PERMISSIONS[:] = [permission for wing in WINGS for permission in wing.permissions]
        places = [place for wing in WINGS for place in wing.places]
        PARTS[:] = sorted((part for wing in WINGS for part in wing.parts), key=lambda part: part.at)
        nav.PLACES[:] = sorted(places, key=lambda place: (GROUPS.index(place.group), place.at))
