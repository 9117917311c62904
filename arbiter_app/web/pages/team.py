"""Team: projects, their members and keys; people and invitations."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.budgets import counted
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.components.keys import status_buttons
from arbiter_app.web.state.team import OBJECTIVES, OWN, ROLES, Team
from arbiter_app.web.typed import Record, Records, either

HOW = (
    "A viewer looks at what the project asks and spends. A member also asks, and makes keys of their own. An owner also manages keys, "
    "budgets and members, and invites to the project. Operators may do everything everywhere."
)
OWNS = (Team.may == "owner") | (Team.may == "operator")


def page() -> rx.Component:
    """The page."""
    left = rx.el.div(_projects(), rx.cond(Team.may == "operator", _people()), class_name="stack")
    right = rx.el.div(_members(), _budget(), _keys(), class_name="stack")
    return shell(
        "team", "Team", rx.cond(Team.closed == "yes", _closed(), rx.el.div(left, right, class_name="two even"))
    )


def _closed() -> rx.Component:
    return atoms.panel(
        "Team",
        atoms.empty(
            "For members of projects",
            "Projects, their keys and who has which role in them are here for operators, and for people with a role in a project.",
            link("Sign in", to="/app/key", class_name="btn"),
        ),
    )


def _said(at: str) -> rx.Component:
    """What was made in this panel, or went wrong there."""
    return rx.fragment(
        rx.cond((Team.at == at) & (Team.error != ""), rx.el.p(Team.error, class_name="error pad", role="alert")),
        rx.cond(
            (Team.made_at == at) & (Team.made != ""),
            rx.el.div(
                rx.el.p(Team.made_what, class_name="small"),
                atoms.code(Team.made),
                class_name="stack tight pad",
                role="status",
            ),
        ),
    )


def _projects() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.el.button(row["name"], class_name="rowlink strong", type="button"),
                class_name="m",
                title=row["name"],
            ),
            rx.el.td(row["role"]),
            rx.el.td(row["keys"], class_name="n hide"),
            rx.el.td(row["zone"], class_name="hide"),
            rx.el.td(link("spend", to=row["to"], class_name="link")),
            class_name=either(row["id"] == Team.project, "pick on", "pick"),
            on_click=Team.choose(row["id"]),
            key=row["id"],
        )

    form = rx.el.form(
        atoms.field("Name of the project", rx.el.input(name="name", class_name="input", required=True, max_length=100)),
        atoms.field("Time zone", rx.el.input(name="timezone", class_name="input", default_value="UTC")),
        atoms.button("Create project", kind="primary", type="submit"),
        on_submit=Team.make_project,
        reset_on_submit=False,
        id="new-project",
        class_name="row end wrap pad",
    )
    table = rx.el.table(
        data.heads("project", "your role", "#keys-", "time zone-", ""),
        rx.el.tbody(rx.foreach(Team.projects, line)),
        class_name="feed long",
    )
    return atoms.panel(
        "Projects",
        rx.cond(
            Team.projects.length() > 0,
            rx.el.div(table, class_name="scroll"),
            atoms.empty("No such project", "None has all of these words."),
        ),
        _said("projects"),
        rx.cond(Team.may == "operator", form),
        note=Team.shown,
        explain=HOW,
        tools=(
            atoms.search(
                "Search projects", "name or time zone", Team.find_project.debounce(200), default_value=Team.sought
            ),
        ),
    )


def _person_search(label: str) -> rx.Component:
    return atoms.search(label, "name or address", Team.find_person.debounce(200), default_value=Team.person)


def _nobody(title: str, how: str) -> rx.Component:
    """What stands for people where there are none, or none that fits what is looked for."""
    sought = atoms.empty("Nobody like that", "No name or address has all of these words.")
    return rx.cond(Team.person != "", sought, atoms.empty(title, how))


def _people() -> rx.Component:
    def line(row: Record) -> rx.Component:
        out = atoms.button("Disable", on_click=Team.set_disabled(row["id"], True), kind="mini danger")
        again = atoms.button("Enable", on_click=Team.set_disabled(row["id"], False), kind="mini")
        return rx.el.tr(
            rx.el.td(row["name"], title=row["email"], class_name="m"),
            rx.el.td(row["role"]),
            rx.el.td(row["projects"], class_name="n hide"),
            rx.el.td(rx.cond(row["disabled"] == "yes", again, out)),
            key=row["id"],
        )

    table = rx.el.table(
        data.heads("who", "role", "#projects-", ""), rx.el.tbody(rx.foreach(Team.people, line)), class_name="feed long"
    )
    return atoms.panel(
        "People",
        rx.cond(
            Team.people.length() > 0,
            rx.el.div(table, class_name="scroll"),
            _nobody("Nobody signs in without a key yet", "Invite somebody, or set up sign-in with your organisation."),
        ),
        _said("people"),
        _invitations(Team.operators_invited, Team.operators_invited_shown),
        note=Team.people_shown,
        tools=(_person_search("Search people"),),
    )


def _roles(value: rx.Var[str], on_change: object, label: str) -> rx.Component:
    return rx.el.select(
        *[rx.el.option(role, value=role) for role in ROLES],
        value=value,
        on_change=on_change,
        class_name="input mini",
        aria_label=label,
    )


def _members() -> rx.Component:
    def line(row: Record) -> rx.Component:
        take = atoms.button(
            either(Team.sure == row["email"], "Really remove", "Remove"),
            on_click=Team.set_role(row["email"], "none"),
            kind="mini danger",
        )
        picked = _roles(row["role"], lambda role: Team.set_role(row["email"], role), "Role")
        return rx.el.tr(
            rx.el.td(row["name"], title=row["email"], class_name="m"),
            rx.el.td(rx.cond(OWNS, picked, rx.el.span(row["role"]))),
            rx.el.td(rx.cond(OWNS, take)),
            key=row["email"],
        )

    members = rx.el.table(
        data.heads("who", "role", ""), rx.el.tbody(rx.foreach(Team.members, line)), class_name="feed long"
    )
    nobody = _nobody("No members yet", "Invite somebody: the link signs them in once, with the role you choose.")
    body = rx.cond(Team.members.length() > 0, rx.el.div(members, class_name="scroll"), nobody)
    return atoms.panel(
        rx.Var.create("Members of ") + Team.name,
        body,
        _said("members"),
        rx.cond(OWNS, rx.fragment(_invite(), _invitations(Team.invitations, Team.invitations_shown))),
        note=Team.members_shown,
        explain=HOW,
        tools=(rx.cond(Team.may == "operator", rx.fragment(), _person_search("Search members")),),
    )


def _invite() -> rx.Component:
    every = [rx.el.option(role, value=role) for role in ROLES]
    role = rx.el.select(
        *every,
        rx.cond(Team.may == "operator", rx.el.option("operator of everything", value="operator")),
        name="role",
        default_value="member",
        class_name="input",
    )
    return rx.el.form(
        atoms.field(
            "E-mail", rx.el.input(name="email", type="email", class_name="input", required=True, auto_complete="off")
        ),
        atoms.field("As", role),
        atoms.button("Invite", kind="primary", type="submit"),
        on_submit=Team.invite,
        reset_on_submit=False,
        id="new-member",
        class_name="row end wrap pad",
    )


def _invitations(rows: Records, shown: rx.Var[str]) -> rx.Component:
    """Links that still work; nothing where there is none."""

    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(row["email"], class_name="m"),
            rx.el.td(row["role"]),
            rx.el.td("until ", atoms.day_clock(row["expires"]), class_name="hide"),
            rx.el.td(atoms.button("Withdraw", on_click=Team.withdraw(row["id"]), kind="mini danger")),
            key=row["id"],
        )

    table = rx.el.table(
        data.heads("invited", "as", "@link works-", ""),
        rx.el.tbody(rx.foreach(rows, line)),
        class_name="feed long",
    )
    told = rx.el.p("Invitations that were not used yet: ", shown, class_name="small mute pad")
    return rx.cond(rows.length() > 0, rx.fragment(told, rx.el.div(table, class_name="scroll")))


def _budget() -> rx.Component:
    def one(row: Record) -> rx.Component:
        remove = atoms.button(
            either(Team.sure == row["id"], "Really remove", "Remove"),
            on_click=Team.drop_budget(row["id"]),
            kind="mini danger",
        )
        return rx.el.div(
            rx.el.div(
                rx.el.span(row["spent_of"], " ", row["length"], class_name="num small"),
                rx.el.span(row["left"], class_name="small push"),
                rx.cond(OWNS, remove),
                class_name="row wrap",
            ),
            atoms.meter(row["width"], row["label"], row["hot"] == "yes"),
            counted(row),
            class_name="stack tight",
        )

    form = rx.el.form(
        atoms.field(
            "Dollars a month",
            rx.el.input(
                name="dollars",
                placeholder="200",
                input_mode="decimal",
                class_name="input",
                required=True,
                auto_complete="off",
            ),
        ),
        atoms.button("Set budget", kind="primary", type="submit"),
        on_submit=Team.set_budget,
        reset_on_submit=False,
        id="new-budget",
        class_name="row end wrap pad",
    )
    bars = rx.el.div(rx.foreach(Team.budgets, one), class_name="stack pad")
    nothing = rx.el.p("No budget limits this project.", class_name="small mute pad")
    return atoms.panel(
        rx.Var.create("Budget of ") + Team.name,
        rx.cond(Team.budgets.length() > 0, bars, nothing),
        _said("budget"),
        rx.cond(OWNS, form),
        explain="Spent and reserved never exceed it: what would is refused with 402. Past half of it routing is thriftier.",
        note="by the project's clock",
    )


def _keys() -> rx.Component:
    def line(row: Record) -> rx.Component:
        pause, revoke = status_buttons(row, Team.sure, lambda status: Team.set_key(row["id"], status))
        rotate = atoms.button("Rotate", on_click=Team.rotate_key(row["id"]), kind="mini")
        return rx.el.tr(
            rx.el.td(
                link(row["label"], to=row["to"]),
                rx.cond(row["label"] != row["id"], rx.el.div(row["id"], class_name="small mute")),
                class_name="m",
                title=row["label"],
            ),
            rx.el.td(rx.cond(Team.may == "viewer", rx.el.span(row["objective"]), objective(row))),
            rx.el.td(either(row["used"] != "", atoms.day_clock(row["used"]), "never"), class_name="n hide"),
            rx.el.td(rx.cond(Team.may != "viewer", rx.el.span(pause, rotate, revoke, class_name="row buttons wrap"))),
            key=row["id"],
        )

    def objective(row: Record) -> rx.Component:
        return rx.el.select(
            *[rx.el.option(name, value=name) for name in OBJECTIVES],
            rx.cond(row["objective"] == OWN, rx.el.option(OWN, value=OWN)),
            value=row["objective"],
            on_change=lambda value: Team.set_objective(row["id"], value),
            class_name="input mini",
            aria_label="Objective",
        )

    search = atoms.search(
        "Search keys",
        "name, address or id",
        Team.find.debounce(200),
        default_value=Team.search,
        custom_attrs={"data-search": "yes"},
    )
    form = rx.el.form(
        atoms.field("Name of the key", rx.el.input(name="label", class_name="input", required=True, max_length=100)),
        atoms.button("Create key", kind="primary", type="submit"),
        on_submit=Team.make_key,
        reset_on_submit=False,
        id="new-key",
        class_name="row end wrap pad",
    )
    table = rx.el.table(
        data.heads("key", "objective", "#@last used-", ""),
        rx.el.tbody(rx.foreach(Team.keys, line)),
        class_name="feed long",
    )
    return atoms.panel(
        rx.Var.create("Keys of ") + Team.name,
        rx.cond(
            Team.keys.length() > 0,
            rx.el.div(table, class_name="scroll"),
            atoms.empty("No keys", "None in this project fits. A key made here counts for its budgets."),
        ),
        _said("keys"),
        rx.cond(Team.may != "viewer", form),
        note=Team.found,
        tools=(search,),
    )
