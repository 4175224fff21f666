"""Roles and affiliations: who changes whose, who sees which list, and what everybody is told."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.rooms.registration import ASK_AGAIN_S
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, codes, item, refusal


class RoleTests(RoomCase):
    """XEP-0045 sections 8 and 9.6 to 9.8."""

    def setUp(self) -> None:
        """Have three in a moderated room."""
        super().setUp()
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"), moderatedroom="1")

    def test_kick(self) -> None:
        """A moderator removes somebody; everybody is told who and why."""
        self.do(self.romeo, "<item nick='Juliet' role='none'><reason>Hence</reason></item>")
        (seen,) = self.nurse.take()
        self.assertEqual((seen["type"], codes(seen), item(seen)["role"]), ("unavailable", ["307"], "none"))
        self.assertEqual((str(item(seen).reason), item(seen).actor["nick"]), ("Hence", "Romeo"))
        self.assertEqual(codes(self.juliet.take()[0]), ["110", "307"])
        self.assertEqual(codes(self.enter(self.juliet, "Juliet")[2]), ["110"])

    def test_voice(self) -> None:
        """A moderator grants voice and takes it back."""
        self.role("Juliet", "participant")
        self.assertEqual(item(self.nurse.take()[0])["role"], "participant")
        self.role("Juliet", "visitor")
        self.assertEqual(item(self.juliet.take()[-1])["role"], "visitor")

    def test_moderator(self) -> None:
        """An admin makes moderators, who moderate and make none."""
        self.role("Juliet", "moderator")
        self.role("Nurse", "participant", self.juliet)
        answer = self.admin(self.juliet, "set", "<item nick='Nurse' role='moderator'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))
        self.role("Juliet", "participant")
        answer = self.admin(self.juliet, "set", "<item nick='Nurse' role='visitor'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_out_of_reach(self) -> None:
        """Nobody kicks or silences those above him, and nobody silences admins."""
        self.role("Juliet", "moderator")
        for role in ("none", "visitor", "participant"):
            answer = self.admin(self.juliet, "set", f"<item nick='Romeo' role='{role}'/>")
            self.assertEqual(refusal(answer), ("cancel", "not-allowed"), role)
        self.affiliate("nurse", "admin")
        answer = self.admin(self.romeo, "set", "<item nick='Nurse' role='visitor'/>")
        self.assertEqual(refusal(answer), ("cancel", "not-allowed"))
        self.assertEqual(self.room.occupants["Nurse"].role, "moderator")
        self.assertEqual(self.room.occupants["Romeo"].role, "moderator")

    def test_participant(self) -> None:
        """Others change no roles and see no lists of them."""
        for inner in ("<item nick='Nurse' role='none'/>", "<item nick='Nurse' role='participant'/>"):
            self.assertEqual(refusal(self.admin(self.juliet, "set", inner)), ("auth", "forbidden"))
        answer = self.admin(self.juliet, "get", "<item role='participant'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_lists(self) -> None:
        """A moderator gets the list of participants, an admin that of moderators."""
        self.assertEqual(self.listed(self.romeo, role="visitor"), ["juliet@example.org", "nurse@example.org"])
        self.assertEqual(self.listed(self.romeo, role="moderator"), ["romeo@example.org"])
        self.role("Juliet", "moderator")
        self.assertEqual(self.listed(self.juliet, role="visitor"), ["nurse@example.org"])
        answer = self.admin(self.juliet, "get", "<item role='moderator'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_wrong(self) -> None:
        """What is no request is refused, and of several changes none is made when one cannot be."""
        for inner, condition in (
            ("", "bad-request"),
            ("<item/>", "bad-request"),
            ("<item nick='Juliet' role='king'/>", "bad-request"),
            ("<item role='none'/>", "bad-request"),
            ("<item nick='Tybalt' role='none'/>", "item-not-found"),
            ("<item nick='Juliet' role='none' affiliation='none'/>", "bad-request"),
            ("<item nick='Juliet' role='participant'/><item nick='Tybalt' role='none'/>", "item-not-found"),
        ):
            self.assertEqual(refusal(self.admin(self.romeo, "set", inner))[1], condition, inner)
        for inner in ("", "<item/>", "<item role='x'/>", "<item affiliation='x'/>", "<item role='none'/>"):
            self.assertEqual(refusal(self.admin(self.romeo, "get", inner))[1], "bad-request", inner)
        self.assertEqual(self.room.occupants["Juliet"].role, "visitor")

    def test_request(self) -> None:
        """A visitor asks for voice; the moderators get a form; what they submit counts."""
        asked = (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
            "<value>http://jabber.org/protocol/muc#request</value></field>{}</x>"
        )
        role = "<field var='muc#role'><value>participant</value></field>"
        self.juliet.send(f"<message to='{ROOM}'>{asked.format(role)}</message>")
        (got,) = self.romeo.take()
        self.assertIn("juliet@example.org/home", got.toXml())
        self.assertEqual(self.nurse.take(), [])
        allow = (
            "<field var='muc#roomnick'><value>Juliet</value></field>"
            "<field var='muc#request_allow'><value>1</value></field>"
        )
        self.nurse.send(f"<message to='{ROOM}'>{asked.format(role + allow)}</message>")
        self.assertEqual(refusal(self.nurse.take()[0]), ("auth", "forbidden"))
        self.romeo.send(f"<message to='{ROOM}'>{asked.format(role + allow)}</message>")
        self.assertEqual(item(self.juliet.take()[0])["role"], "participant")


class AffiliationTests(RoomCase):
    """XEP-0045 sections 9 and 10.3 to 10.8."""

    def setUp(self) -> None:
        """Have three in a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"), persistentroom="1")

    def test_ban(self) -> None:
        """Whoever is banned is removed, and everybody is told."""
        self.affiliate("juliet", "outcast", reason="Montague")
        (seen,) = self.nurse.take()
        self.assertEqual((codes(seen), item(seen)["affiliation"]), (["301"], "outcast"))
        self.assertEqual(str(item(seen).reason), "Montague")
        self.assertEqual(self.listed(self.romeo, affiliation="outcast"), ["juliet@example.org"])

    def test_roles_follow(self) -> None:
        """An admin is a moderator at once, and a member none any more."""
        self.affiliate("juliet", "admin")
        seen = self.nurse.take()[0]
        self.assertEqual((item(seen)["affiliation"], item(seen)["role"]), ("admin", "moderator"))
        self.affiliate("juliet", "member")
        self.assertEqual(item(self.nurse.take()[0])["role"], "participant")

    def test_membership_lost(self) -> None:
        """Who is no member any more leaves a room for members."""
        self.affiliate("juliet", "member")
        self.affiliate("nurse", "member")
        self.configure(membersonly="1")
        self.quiet()
        self.affiliate("juliet", "none")
        self.assertEqual(codes(self.nurse.take()[0]), ["321"])

    def test_absent(self) -> None:
        """A change for somebody who is not here is told to those who see real JIDs."""
        self.affiliate("mercutio", "member")
        (told,) = self.romeo.take()
        self.assertEqual((told.name, item(told)["jid"]), ("message", "mercutio@example.org"))
        self.assertEqual(self.juliet.take(), [])

    def test_privileges(self) -> None:
        """Admins make members and ban; owners do the rest."""
        self.affiliate("juliet", "admin")
        self.affiliate("mercutio", "member", self.juliet)
        self.affiliate("mercutio", "outcast", self.juliet)
        for who, affiliation in (
            ("nurse", "admin"),
            ("nurse", "owner"),
            ("romeo", "none"),
            ("juliet", "member"),
        ):
            inner = f"<item jid='{who}@example.org' affiliation='{affiliation}'/>"
            self.assertEqual(refusal(self.admin(self.juliet, "set", inner)), ("cancel", "not-allowed"), inner)
        for affiliation in ("member", "outcast", "none", "owner"):
            inner = f"<item jid='mercutio@example.org' affiliation='{affiliation}'/>"
            self.assertEqual(refusal(self.admin(self.nurse, "set", inner)), ("auth", "forbidden"), inner)
        self.assertEqual(self.room.affiliation("romeo@example.org"), "owner")

    def test_oneself(self) -> None:
        """Nobody bans himself, and the last owner stays one."""
        for affiliation in ("outcast", "none", "admin"):
            inner = f"<item jid='romeo@example.org' affiliation='{affiliation}'/>"
            self.assertEqual(refusal(self.admin(self.romeo, "set", inner)), ("cancel", "conflict"))
        self.affiliate("juliet", "owner")
        self.affiliate("romeo", "admin")
        self.assertEqual(self.room.owners(), ["juliet@example.org"])
        ban = "<item jid='{}@example.org' affiliation='outcast'/>"
        answer = self.admin(self.romeo, "set", ban.format("romeo"))
        self.assertEqual(refusal(answer), ("cancel", "conflict"))
        answer = self.admin(self.mercutio, "set", ban.format("mercutio"))
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_wrong(self) -> None:
        """What names nobody is refused."""
        for inner, condition in (
            ("<item jid='romeo@example.org/home' affiliation='member'/>", "jid-malformed"),
            ("<item jid='@' affiliation='member'/>", "jid-malformed"),
            ("<item jid='a@example.org' affiliation='prince'/>", "bad-request"),
            ("<item affiliation='member'/>", "item-not-found"),
            ("<item jid='a@example.org' affiliation='member' nick='&#x378;'/>", "jid-malformed"),
            ("<item jid='a@example.org' affiliation='member' nick='%s'/>" % ("x" * 257), "not-acceptable"),
            ("<item jid='a@example.org' affiliation='member' nick='  '/>", "not-acceptable"),
        ):
            self.assertEqual(refusal(self.admin(self.romeo, "set", inner))[1], condition, inner)

    def test_by_nick(self) -> None:
        """Whoever does not know a real JID names a nick."""
        self.do(self.romeo, "<item nick='Juliet' affiliation='outcast'/>")
        self.assertEqual(self.room.affiliation("juliet@example.org"), "outcast")

    def test_lists(self) -> None:
        """Lists are for admins; members see members in an open room for members; outcasts nothing."""
        self.affiliate("juliet", "member")
        for affiliation in ("owner", "admin", "member", "outcast"):
            answer = self.admin(self.juliet, "get", f"<item affiliation='{affiliation}'/>")
            self.assertEqual(refusal(answer), ("auth", "forbidden"), affiliation)
        self.configure(membersonly="1", whois="anyone")
        self.assertEqual(self.listed(self.juliet, affiliation="member"), ["juliet@example.org"])
        answer = self.admin(self.juliet, "get", "<item affiliation='outcast'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))
        answer = self.admin(self.mercutio, "get", "<item affiliation='member'/>")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_pages(self) -> None:
        """A long list comes in pages."""
        self.do(
            self.romeo,
            "".join(f"<item jid='m{number}@example.org' affiliation='member'/>" for number in range(9)),
        )
        asked = (
            "<item affiliation='member'/><set xmlns='http://jabber.org/protocol/rsm'><max>4</max>"
            "<after>m3@example.org</after></set>"
        )
        answer = self.admin(self.romeo, "get", asked)
        self.assertEqual(
            [one["jid"][:2] for one in answer.query.elements() if one.name == "item"],
            ["m4", "m5", "m6", "m7"],
        )
        self.assertEqual(str(answer.query.set.last), "m7@example.org")
        self.assertEqual(str(answer.query.set.count), "9")

    def test_restart(self) -> None:
        """Affiliations outlive a restart."""
        self.affiliate("juliet", "admin")
        self.affiliate("nurse", "outcast")
        self.restart()
        self.assertEqual(item(self.enter(self.juliet, "Juliet")[0])["affiliation"], "admin")
        self.assertEqual(self.refused(self.nurse, "Nurse"), ("auth", "forbidden"))


class RegistrationTests(RoomCase):
    """XEP-0045 sections 7.10 and 7.12."""

    FORM = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
        "http://jabber.org/protocol/muc#register</value></field>"
        "<field var='muc#register_roomnick'><value>{}</value></field></x>"
    )

    def setUp(self) -> None:
        """Have a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"), persistentroom="1")

    def register(self, client: Client, inner: str, kind: str = "set") -> domish.Element:
        """Send a request; give the answer."""
        return client.ask(
            f"<iq type='{kind}' id='r' to='{ROOM}'><query xmlns='jabber:iq:register'>{inner}</query></iq>"
        )

    def test_nick(self) -> None:
        """A registered nick is kept for its owner, who is a member now."""
        self.assertEqual(self.register(self.juliet, self.FORM.format("Giulietta"))["type"], "result")
        self.assertEqual(self.room.affiliation("juliet@example.org"), "member")
        self.assertEqual(self.refused(self.nurse, "giulietta"), ("cancel", "conflict"))
        self.restart()
        self.assertEqual(self.refused(self.nurse, "GIULIETTA"), ("cancel", "conflict"))
        self.assertEqual(codes(self.enter(self.juliet, "Giulietta")[0]), ["110"])
        answer = self.juliet.ask(
            f"<iq type='get' id='d' to='{ROOM}'><query xmlns='http://jabber.org/protocol/disco#info' "
            "node='x-roomuser-item'/></iq>"
        )
        self.assertEqual(answer.query.identity["name"], "Giulietta")
        self.assertEqual(str(self.register(self.juliet, "", "get").query.username), "Giulietta")

    def test_end(self) -> None:
        """A registration is taken back."""
        self.register(self.juliet, self.FORM.format("Giulietta"))
        self.assertEqual(self.register(self.juliet, "<remove/>")["type"], "result")
        self.assertEqual(self.room.affiliation("juliet@example.org"), "none")
        self.assertEqual(codes(self.enter(self.nurse, "Giulietta")[2]), ["110"])
        self.assertEqual(refusal(self.register(self.mercutio, "<remove/>"))[1], "item-not-found")

    def test_refused(self) -> None:
        """A nick that is another's, or none, is not registered; and who is banned registers nothing."""
        for nick, condition in (("Romeo", "conflict"), ("romeo", "conflict"), ("", "not-acceptable")):
            self.assertEqual(refusal(self.register(self.juliet, self.FORM.format(nick)))[1], condition, nick)
        self.assertEqual(refusal(self.register(self.juliet, ""))[1], "bad-request")
        self.affiliate("juliet", "outcast")
        self.assertEqual(refusal(self.register(self.juliet, self.FORM.format("J")))[1], "forbidden")

    def test_approval(self) -> None:
        """Where members may do more than others an admin approves of them."""
        self.configure(membersonly="1")
        self.quiet()
        self.assertEqual(self.register(self.nurse, self.FORM.format("Angelica"))["type"], "result")
        self.assertEqual(self.room.affiliation("nurse@example.org"), "none")
        self.assertIn("Angelica", self.romeo.take()[0].toXml())
        allow = (
            "<field var='muc#register_allow'><value>1</value></field>"
            "<field var='muc#register_jid'><value>nurse@example.org</value></field></x>"
        )
        answer = self.FORM.format("Angelica").replace("</x>", allow)
        self.romeo.send(f"<message to='{ROOM}'>{answer}</message>")
        self.assertEqual(self.room.held("nurse@example.org")[:2], ("member", "Angelica"))

    def test_approval_again(self) -> None:
        """Admins are not asked all the time; who waited for a nick that is gone becomes a member without."""
        self.configure(membersonly="1")
        register = self.FORM.format("Angelica")
        for client in (self.nurse, self.mercutio):
            self.assertEqual(self.register(client, register)["type"], "result")
        self.romeo.take()
        self.assertEqual(refusal(self.register(self.nurse, register)), ("wait", "resource-constraint"))
        self.assertEqual(self.romeo.take(), [])
        self.house.clock.advance(ASK_AGAIN_S)
        self.assertEqual(self.register(self.nurse, register)["type"], "result")
        for name in ("nurse", "mercutio"):
            allow = (
                "<field var='muc#register_allow'><value>1</value></field>"
                f"<field var='muc#register_jid'><value>{name}@example.org</value></field></x>"
            )
            self.romeo.send(f"<message to='{ROOM}'>{register.replace('</x>', allow)}</message>")
        self.assertEqual(self.room.held("nurse@example.org")[:2], ("member", "Angelica"))
        self.assertEqual(self.room.held("mercutio@example.org")[:2], ("member", ""))


class InvitationTests(RoomCase):
    """XEP-0045 section 7.8."""

    NS = "http://jabber.org/protocol/muc#user"

    def invite(self, client: Client, to: str, inner: str = "<reason>Come</reason>") -> None:
        """Invite somebody."""
        client.send(
            f"<message to='{ROOM}'><x xmlns='{self.NS}'><invite to='{to}'>{inner}</invite></x></message>"
        )

    def test_open(self) -> None:
        """An invitation says who invites and why, in the words of old and new clients."""
        self.make((self.juliet, "Juliet"), passwordprotectedroom="0")
        self.invite(self.juliet, "nurse@example.org")
        (got,) = self.nurse.take()
        invite = got.x.invite
        self.assertEqual(
            (got["from"], invite["from"], str(invite.reason)), (ROOM, "juliet@example.org", "Come")
        )
        self.assertIn("jabber:x:conference", got.toXml())

    def test_password(self) -> None:
        """The password of the room comes with it."""
        self.make(passwordprotectedroom="1", roomsecret="moon")
        self.invite(self.romeo, "nurse@example.org")
        self.assertEqual(str(self.nurse.take()[0].x.password), "moon")

    def test_members(self) -> None:
        """Into a room for members admins invite, and make a member of whom they invite."""
        self.make(membersonly="1")
        self.affiliate("juliet", "member")
        self.enter(self.juliet, "Juliet")
        self.invite(self.juliet, "nurse@example.org")
        self.assertEqual(refusal(self.juliet.take()[0]), ("auth", "forbidden"))
        self.assertEqual(self.nurse.take(), [])
        self.configure(allowinvites="1")
        self.invite(self.juliet, "nurse@example.org")
        self.assertEqual(self.room.affiliation("nurse@example.org"), "member")
        self.assertEqual(codes(self.enter(self.nurse, "Nurse")[2]), ["110"])

    def test_refused(self) -> None:
        """Who is not here invites nobody; the banned and nobody are not invited."""
        self.make((self.juliet, "Juliet"))
        self.invite(self.nurse, "mercutio@example.org")
        self.assertEqual(refusal(self.nurse.take()[0]), ("modify", "not-acceptable"))
        self.affiliate("mercutio", "outcast")
        self.quiet()
        self.invite(self.juliet, "mercutio@example.org")
        self.assertEqual(refusal(self.juliet.take()[0]), ("auth", "forbidden"))
        for to, condition in (("@", "jid-malformed"), ("", "jid-malformed")):
            self.invite(self.juliet, to)
            self.assertEqual(refusal(self.juliet.take()[0])[1], condition)
        self.juliet.send(f"<message to='{ROOM}'><x xmlns='{self.NS}'/></message>")
        self.assertEqual(refusal(self.juliet.take()[0])[1], "bad-request")

    def test_decline(self) -> None:
        """Who was invited may say no; nobody else writes to people through a room."""
        self.make((self.juliet, "Juliet"))
        self.invite(self.juliet, "nurse@example.org")
        decline = f"<x xmlns='{self.NS}'><decline to='juliet@example.org'><reason>Ache</reason></decline></x>"
        self.mercutio.send(f"<message to='{ROOM}'>{decline}</message>")
        self.assertEqual(refusal(self.mercutio.take()[0]), ("cancel", "item-not-found"))
        self.nurse.send(f"<message to='{ROOM}'>{decline}</message>")
        (told,) = self.juliet.take()
        self.assertEqual((told.x.decline["from"], str(told.x.decline.reason)), ("nurse@example.org", "Ache"))
